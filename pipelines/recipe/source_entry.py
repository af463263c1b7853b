"""One entry of `sources`: a reader, and the steps that each of its documents goes through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from corpusmill.pipelines.contract.documents import RAW_FIELDS, SCHEMA
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.stage import Map, Regroup
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.entries import mapping, reader, stage_list, unknown_keys
from corpusmill.pipelines.recipe.messages import SLUG, Path, Problem, kind_of
from corpusmill.pipelines.recipe.models import ALLOW_LOSS, Source
from corpusmill.pipelines.recipe.options import build
from corpusmill.pipelines.recipe.placed import below
from corpusmill.pipelines.sources.reader import Reader

KEYS = ("read", "domain", "steps", "allow_loss", "keep_texts")
Step = Map | Regroup
Problems = list[Problem]


def misplaced(name: str, data: Any) -> bool:
    """Whether an entry of `sources` is a key of a source that is indented too little."""
    return name in KEYS and not (isinstance(data, dict) and "read" in data)


def source(name: str, data: Any, problems: Problems) -> Source | None:
    """One entry of `sources`."""
    path: Path = ("sources", name)
    if not re.fullmatch(SLUG, name):
        message = f"`{name}` is no name for a source; use small letters, digits, hyphens and underscores"
        problems.append(Problem(path, message))
    if misplaced(name, data):
        message = f"`{name}` stands among the sources; indent it further, so that it belongs to one of them"
        problems.append(Problem(path, message))
        return None
    section = mapping(data, path, problems, "{read: {jsonl: code/*.jsonl.zst}, steps: []}")
    if section is None:
        return None
    unknown_keys(section, KEYS, path, problems)
    domain = section.get("domain", name)
    if "domain" in section and not (isinstance(domain, str) and re.fullmatch(SLUG, domain)):
        message = f"expected a name such as web, code or math, got {kind_of(domain)}"
        problems.append(Problem((*path, "domain"), message))
    if "read" not in section:
        problems.append(Problem(path, "`read` is missing; add `read: {jsonl: code/*.jsonl}`"))
        made = None
    else:
        made = reader(section["read"], (*path, "read"), problems)
    steps: list[tuple[Step, Path]] = stage_list(section.get("steps"), (*path, "steps"), problems, _step)
    if made is None:
        return None
    if len(steps) == len(section.get("steps") or []):  # a step at fault may be the one that fills a column
        _check_columns(made, steps, path, problems)
    return Source(
        name,
        domain if isinstance(domain, str) else name,
        made,
        tuple(step for step, _ in steps),
        _allow_loss(section.get("allow_loss", ALLOW_LOSS), (*path, "allow_loss"), problems),
        _keep_texts(section.get("keep_texts", False), (*path, "keep_texts"), problems),
    )


def _allow_loss(value: Any, path: Path, problems: Problems) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        message = f"expected a share from 0 to 1 of records that may be quarantined, got {kind_of(value)}"
        problems.append(Problem(path, message))
        return ALLOW_LOSS
    return float(value)


def _keep_texts(value: Any, path: Path, problems: Problems) -> bool:
    if not isinstance(value, bool):
        problems.append(Problem(path, f"expected true or false, got {kind_of(value)}"))
        return False
    return value


def _step(name: str, options: Any, path: Path, problems: Problems) -> Map | Regroup | None:
    try:
        found = registry.find_step(name)
    except RecipeError as error:
        problems.append(Problem(path, error.__str__))
        return None
    return build(found, options, path, problems, f"option of {name}")


def _check_columns(made: Reader, steps: list[tuple[Any, Path]], path: Path, problems: Problems) -> None:
    """Every step finds the columns it consumes, and the source ends with text."""
    fixed = {field.name for field in SCHEMA} - {"text"}
    here = _with_companions(made.produces)
    for step, at in steps:
        for column in sorted(set(step.consumes) - here - fixed):
            if column in ("text", "raw"):
                problems.append(Problem(at, _order(step.name, column, made.name, here)))
            elif "." not in column:
                problems.append(Problem(at, f"`{step.name}` needs `{column}`, which nothing before it fills"))
            elif column.split(".")[0] not in {s.name for s, before in steps if before < at}:
                problems.append(
                    Problem(at, f"`{step.name}` needs `{column.split('.')[0]}` before it; add that step")
                )
        before = [made, *(s for s, earlier in steps if earlier < at)]
        problems.extend(Problem((*at, *below(option)), wrong) for option, wrong in step.conflicts(before))
        if "raw" in step.consumes:
            here -= _with_companions(["raw"])
        here |= {"text"} & set(step.consumes) | _with_companions(step.produces)
    if "raw" in here and "text" not in here:
        what = f"`{made.name}` reads raw pages and nothing makes text of them"
        message = f"{what}; add `{_makers_of_text()}` to `steps`"
        problems.append(Problem((*path, "steps"), message))


def _with_companions(columns: Iterable[str]) -> set[str]:
    """Readers of raw pages fill all of `RAW_FIELDS`."""
    found = set(columns)
    return found | {field.name for field in RAW_FIELDS} if "raw" in found else found


def _order(step: str, column: str, reader_name: str, here: set[str]) -> str:
    if column == "text":
        what = f"`{step}` needs text, but `{reader_name}` reads raw pages"
        return f"{what}; put `{_makers_of_text()}` before it"
    if "text" in here:
        return f"`{step}` works on raw pages, but here documents are text already; remove it"
    return f"`{step}` works on raw pages, and none are left here"


def _makers_of_text() -> str:
    return "` or `".join(registry.steps_filling("text", of="raw"))
