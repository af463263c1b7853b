"""Why a step is done again, in words: what differs between two of its keys, and between the files it read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corpusmill.pipelines.recipe.messages import shown
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.manifest import StageKey, StepKey

_NAMED = 2  # files that are named in a row, beside their number


def changes(old: StepKey, new: StepKey) -> list[str]:
    """Everything in which two keys of a step differ, own options first; empty where they are equal."""
    return [*own_changes(old, new), *read_changes(old, new)]


def own_changes(old: StepKey, new: StepKey) -> list[str]:
    """What differs of the step itself: its stages, their options, code and files, the seed, libraries."""
    return [*_of_stages(old.stages, new.stages), *_of_step(old, new)]


def read_changes(old: StepKey, new: StepKey) -> list[str]:
    """What differs of that which other steps, earlier runs or input files give it."""
    found = [
        *_of_inputs("documents", "of", old.inputs, new.inputs),
        *_of_inputs("removals", "by", old.masks, new.masks),
        *_of_inputs("documents remembered", "by the run", old.known, new.known),
        *_of_named("", "", old.artefacts, new.artefacts),
    ]
    if old.listing != new.listing:
        found.append("input files have other times or lie elsewhere")
    return found


def _of_stages(old: Sequence[StageKey], new: Sequence[StageKey]) -> Iterator[str]:
    names_old, names_new = [stage.name for stage in old], [stage.name for stage in new]
    added = [name for name in names_new if name not in names_old]
    absent = [name for name in names_old if name not in names_new]
    yield from (f"{name} is new" for name in added)
    yield from (f"{name} was taken out" for name in absent)
    if not added and not absent and names_old != names_new:
        yield f"order of stages: {', '.join(names_old)} -> {', '.join(names_new)}"
    before = {stage.name: stage for stage in old}
    for stage in new:
        if stage.name in before:
            yield from _of_stage(before[stage.name], stage)


def _of_stage(old: StageKey, new: StageKey) -> Iterator[str]:
    name = new.name
    yield from (f"{name}: {words}" for words in _of_options(encode(old)["options"], encode(new)["options"]))
    if old.code != new.code:
        yield f"code of {name} changed"
    yield from _of_versions(old.libraries, new.libraries, f", which {name} uses,")
    yield from _of_named(f"{name}: ", "file ", old.files, new.files)


def _of_step(old: StepKey, new: StepKey) -> Iterator[str]:
    if old.operator != new.operator:
        yield f"done by {old.operator} before, now by {new.operator}"
    if old.spine != new.spine:
        yield f"code of corpusmill that does the work of `{new.operator}` changed"
    yield from _of_versions(old.libraries, new.libraries, "")
    for words, before, after in (
        ("Unicode tables of Python", old.unicode, new.unicode),
        ("seed", old.seed, new.seed),
        ("bytes of a unit (split_bytes)", old.unit_bytes, new.unit_bytes),
        ("documents read of each unit", old.limit, new.limit),
    ):
        if before != after:
            yield f"{words} {shown(before)} -> {shown(after)}"
    yield from _of_options(encode(old.options), encode(new.options))


def _of_options(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name in sorted(set(old) | set(new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _of_options(before, after, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} {_plain(before)} -> {_plain(after)}"


def _plain(value: Any) -> str:
    """A value as YAML would have it, cut to a readable length."""
    if isinstance(value, (list, tuple)):
        return shown(f"[{', '.join(_plain(one) for one in value)}]").strip("'\"")
    return value if isinstance(value, str) and len(value) <= 60 and value else shown(value)


def _of_versions(old: Mapping[str, str], new: Mapping[str, str], whose: str) -> Iterator[str]:
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            yield f"{name}{whose} {old.get(name, 'none')} -> {new.get(name, 'none')}"


def _of_named(prefix: str, what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            how = "is new" if name not in old else "is not there any more" if name not in new else "changed"
            yield f"{prefix}{what}{name} {how}"


def _of_inputs(
    what: str, of: str, old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]
) -> Iterator[str]:
    before, after = dict(old), dict(new)
    yield from (f"{what} {of} {name} are new" for name in after if name not in before)
    yield from (f"{what} {of} {name} are not read any more" for name in before if name not in after)
    common = [name for name in after if name in before]
    yield from (f"{what} {of} {name} changed" for name in common if before[name] != after[name])
    if set(before) == set(after) and list(before) != list(after):
        yield f"order of {what}: {', '.join(before)} -> {', '.join(after)}"


def file_changes(old: Mapping[str, int], new: Mapping[str, int]) -> list[str]:
    """How the files that an index lists differ from those before: {name: bytes}."""
    added, absent = [name for name in new if name not in old], [name for name in old if name not in new]
    other = [name for name, size in new.items() if name in old and old[name] != size]
    return [
        f"{len(names):,} {how}file{'s' * (len(names) != 1)} of {whole:,}{end} ({_first(names)})"
        for names, how, whole, end in (
            (added, "new ", len(new), ""),
            (other, "changed ", len(new), ""),
            (absent, "", len(old), " taken away"),
        )
        if names
    ]


def _first(names: Sequence[str]) -> str:
    some = ", ".join(sorted(names)[:_NAMED])
    return some + (", ..." if len(names) > _NAMED else "")
