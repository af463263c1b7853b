"""Names of sources, domains and groups that options use: each must be one the recipe has.

It works on plain data; what has not even the right shape is left to those who build it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from corpusmill.pipelines.contract.closest import closest, listed
from corpusmill.pipelines.recipe.messages import Path, Problem

EVERYTHING = "*"  # the group of all sources


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def domains(sources: Mapping[str, Any]) -> set[str]:
    """Domains of the recipe's sources, given as plain data."""
    return {str(mapping_or_empty(source).get("domain") or name) for name, source in sources.items()}


def group_problems(
    groups: Iterable[str], place: Path, sources: Iterable[str], others: tuple[str, ...]
) -> Iterator[Problem]:
    """A problem for each group at `place` of a source that the recipe does not have.

    Groups are `SOURCE` or `SOURCE/LANGUAGE`; `others` may stand for the source.
    """
    valid = [*others, *sources]
    for group in groups:
        source = group.split("/", 1)[0]
        if source not in valid:
            yield Problem((*place, group), unknown_name("source", source, valid))


def unknown_name(what: str, name: Any, valid: Iterable[str]) -> str:
    """The message for a name that stands for no `what` (a source, a domain) of the recipe."""
    names = sorted(valid)
    near = closest(str(name), names)
    hint = f"did you mean `{near}`? " if near else ""
    return f"no {what} of the recipe is called {str(name)!r}; {hint}there are: {listed(names)}"
