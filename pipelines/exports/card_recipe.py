"""The recipe of a run as a card shows it: without what is of one machine, and without secrets.

Settings of where and how the run was worked on are left out; of absolute paths only the last name is shown;
URLs are shown without user and query; values that are called or look like secrets are replaced. Values of
variables are not in a run's record to begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from corpusmill.pipelines.inspection.run_record import RunRecord

OF_THE_MACHINE = ("output", "data", "engine", "keep", "plugins", "storage", "object_storage")
LEFT_OUT = "(left out)"
_NAMES = re.compile(
    r"(?:^|[_-])(?:secret|password|passwd|api_?key|access_?key(?:_id)?|private_?key|credentials?|bearer"
    r"|(?:auth|access|session|hf|api)_?token)(?:$|[_-])",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/@\s]*@)?([^?#\s]*)\S*")
# A path from a root or a home, as expressions on URLs are not: of two names or more, of a path's characters.
_PATH = re.compile(r"(?:~[^/\s]*|[A-Za-z]:)?[/\\](?:[^/\\()\[\]^$|+]+[/\\])+([^/\\()\[\]^$|+]+)[/\\]?")
_UP = re.compile(r"(?:\.\.[/\\])+(?:.*[/\\])?([^/\\]*)[/\\]?", re.DOTALL)


def shown(value: Any, name: str = "") -> Any:
    """A value of the recipe without secrets and places of the machine."""
    if isinstance(value, Mapping):
        return {str(key): shown(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(inner, name) for inner in value]
    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    if _NAMES.search(name) or _SECRETS.search(value):
        return LEFT_OUT
    if "://" in value:
        return _URL.sub(r"\1\2", value)
    for path in (_PATH, _UP):
        if found := path.fullmatch(value):
            return f".../{found[1]}" if found[1] else "..."
    return value


def shown_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as a card shows it."""
    found: dict[str, Any] = shown({key: v for key, v in recipe.items() if key not in OF_THE_MACHINE})
    return found


def recipe_section(record: RunRecord) -> Iterator[str]:
    """The recipe, and the versions that the documents depend on."""
    versions: dict[str, set[str]] = {}
    for step in record.steps.values():
        if step.complete and step.manifest is not None and step.operator.writes in ("documents", "removals"):
            for name, number in step.manifest.versions.items():
                versions.setdefault(name, set()).add(str(number))
            for stage in step.stages:
                for name, number in stage.libraries.items():
                    versions.setdefault(name, set()).add(str(number))
    text = yaml.safe_dump(shown_recipe(record.recipe), sort_keys=False, allow_unicode=True)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    yield "## Recipe\n"
    yield f"{fence}yaml\n{text}{fence}\n"
    told = [f"{name} {', '.join(sorted(held))}" for name, held in sorted(versions.items())]
    yield f"Versions: {', '.join(told)}.\n"
    contents = [f"{one.name} `{(one.last.content or '')[:16]}`" for one in record.sources if one.whole]
    yield f"Content of the sources before late steps: {', '.join(contents)}.\n"
