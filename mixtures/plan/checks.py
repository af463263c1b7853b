"""What is wrong with the groups of a mixture, as far as the recipe alone tells.

Values of sources, domains and buckets are known before anything runs; of other columns it is known at most
which languages the steps keep. So a group by another column must say what its other values get, `"*"`, and
no document is left out in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from corpusmill.mixtures.plan.cells import OTHERS, SOURCE, TOKENS, UNKNOWN, bucket_names, in_order
from corpusmill.pipelines.recipe.messages import Path, Problem, unknown_keys
from corpusmill.pipelines.recipe.names import domains, mapping_or_empty, unknown_name

Entry = Mapping[str, Any]
_NUMBERS = ("weights", "epochs")
_NO_EDGES = "is a number; divide it into buckets under `mixture`, such as `at: {tokens: [4096]}`"


def group_problems(mixture: Entry, sources: Entry, path: Path) -> Iterator[Problem]:
    """Problems with the entry `mixture` of a recipe with these sources, as plain data."""
    at = mapping_or_empty(mixture.get("at"))
    yield from _of_group(mixture, at, sources, tuple(sources), path)
    used = {mapping_or_empty(one).get("by") for one in _every(mixture)}
    phases = mixture.get("phases")
    for number, phase in enumerate(phases if isinstance(phases, list) else []):
        if isinstance(phase, dict):
            here = (*path, "phases", number)
            used |= {mapping_or_empty(one).get("by") for one in _every(phase)}
            used |= set(mapping_or_empty(phase.get("only")))
            yield from _of_group(phase, at, sources, tuple(sources), here)
            yield from _of_choice(mapping_or_empty(phase.get("only")), at, sources, (*here, "only"))
    for column in at:
        if column not in used:
            message = f"no group is by {column}, so its edges have no effect; add a group, or take them out"
            yield Problem((*path, "at", column), message)


def _of_choice(only: Entry, at: Entry, sources: Entry, path: Path) -> Iterator[Problem]:
    """Problems with the values that a phase is drawn from."""
    for column, chosen in only.items():
        if column == TOKENS and column not in at:
            yield Problem((*path, column), _NO_EDGES)
            continue
        if _unsound(column, at):
            continue
        valid = _values(column, at, sources, tuple(sources))
        for number, value in enumerate(chosen if isinstance(chosen, list) else ()):
            if valid is not None and value not in valid:
                yield Problem((*path, column, number), unknown_name(_what(column), value, valid))


def _every(group: Entry) -> Iterator[Entry]:
    yield group
    for inner in mapping_or_empty(group.get("within")).values():
        yield from _every(mapping_or_empty(inner))


def _of_group(group: Entry, at: Entry, sources: Entry, among: Sequence[str], path: Path) -> Iterator[Problem]:
    """Problems with one group, of documents of the sources `among`, and with those within it."""
    by = group.get("by", SOURCE)
    numbers = [name for name in _NUMBERS if isinstance(group.get(name), dict)]
    valid = _values(by, at, sources, among)
    if by == TOKENS and by not in at:
        yield Problem((*path, "by"), _NO_EDGES)
    for name in numbers if not _unsound(by, at) else ():
        yield from _of_numbers(by, name, group[name], valid, among, sources, (*path, name))
    within = mapping_or_empty(group.get("within"))
    if valid is not None:
        yield from unknown_keys(within, (*valid, OTHERS), (*path, "within"), _what(by))
    for value, inner in within.items():
        if isinstance(inner, dict):
            own = _sources_of(by, value, sources, among)
            yield from _of_group(inner, at, sources, own, (*path, "within", value))


def _values(by: Any, at: Entry, sources: Entry, among: Sequence[str]) -> tuple[str, ...] | None:
    """The values that a column may have there; None where the recipe does not tell."""
    if by == SOURCE:
        return tuple(among)
    if by == "domain":
        return tuple(sorted(domains({name: sources[name] for name in among})))
    if by in at and not _unsound(by, at):
        return (*bucket_names(at[by]), *(() if by == TOKENS else (UNKNOWN,)))
    return None


def _unsound(by: Any, at: Entry) -> bool:
    """Whether the edges of a column are at fault, which is told of them: what buckets it has is not known."""
    if by not in at:
        return False
    edges = at[by]
    return not (isinstance(edges, list) and all(_is_number(edge) for edge in edges) and in_order(edges))


def _is_number(edge: Any) -> bool:
    return isinstance(edge, (int, float)) and not isinstance(edge, bool)


def _what(by: Any) -> str:
    return by if by in (SOURCE, "domain") else f"value of {by}"


def _of_numbers(
    by: Any,
    name: str,
    numbers: Entry,
    valid: tuple[str, ...] | None,
    among: Sequence[str],
    sources: Entry,
    path: Path,
) -> Iterator[Problem]:
    """Problems with the values that weights or epochs name, or leave out."""
    what = "weight" if name == "weights" else "epochs"
    if valid is None:
        if OTHERS not in numbers:
            message = (
                f'says nothing of other values; add `"{OTHERS}": 0` to leave them out, or give them {name}'
            )
            yield Problem(path, message)
        if by == "lang":
            yield from _languages(numbers, among, sources, path)
        return
    unknown = unknown_keys(numbers, (*valid, OTHERS), path, _what(by))
    yield from unknown
    missing = [value for value in valid if value not in numbers]
    if missing and not unknown and OTHERS not in numbers:  # else what is misspelt stands for one of them
        cure = ", ".join(f"{value}: 0" for value in missing)
        message = f"no {what} for {', '.join(missing)}; add one, or `{cure}` to leave out"
        yield Problem(path, message)


def _languages(
    numbers: Collection[str], among: Sequence[str], sources: Entry, path: Path
) -> Iterator[Problem]:
    """Languages that no source keeps, where every source keeps languages by name."""
    kept: set[str] = set()
    for source in among:
        own = _kept_languages(mapping_or_empty(sources[source]).get("steps"))
        if own is None:
            return
        kept |= own
    for value in numbers:
        if value not in (*kept, OTHERS, UNKNOWN):
            known = ", ".join(sorted(kept))
            message = f"no document has this language: the steps keep {known}; correct it, or keep it there"
            yield Problem((*path, value), message)


def _kept_languages(steps: Any) -> set[str] | None:
    """Languages that the last step `language` keeps; None where there is none that names some."""
    for step in reversed(steps if isinstance(steps, list) else []):
        options = mapping_or_empty(step).get("language")
        keep = mapping_or_empty(options).get("keep")
        if isinstance(keep, list):
            return {str(one) for one in keep}
    return None


def _sources_of(by: Any, value: str, sources: Entry, among: Sequence[str]) -> Sequence[str]:
    """The sources whose documents may have a value."""
    if value == OTHERS:
        return among
    if by == SOURCE:
        return [name for name in among if name == value]
    if by == "domain":
        return [name for name in among if value in domains({name: sources[name]})]
    return among
