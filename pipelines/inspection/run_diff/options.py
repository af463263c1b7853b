"""What two runs do otherwise, in words: options of stages, stages, code, inputs; and the shares of their
mixtures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts
from corpusmill.pipelines.inspection.run_diff.difference import OptionChange, ShareChange
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.records.manifest import StageKey

_SHOWN = 80  # characters of a value
_ABSENT: Any = object()


def option_changes(before: RunRecord, after: RunRecord) -> tuple[OptionChange, ...]:
    """In the order of the steps; a change of a stage whose work two steps divide is told once."""
    found: dict[str, OptionChange] = {}
    if before.seed != after.seed:
        values = str(before.seed), str(after.seed)
        found["seed"] = OptionChange("", "seed", *values, f"seed {values[0]} -> {values[1]}")
    for name in list(dict.fromkeys([*after.steps, *before.steps])):
        old, new = before.complete(name), after.complete(name)
        for change in _step(name, old, new):
            found.setdefault(change.words, change)
    return tuple(found.values())


def _step(name: str, old: StepRecord | None, new: StepRecord | None) -> Iterator[OptionChange]:
    if old is None and new is None:
        return
    if old is None or new is None:
        if "." in name and name.rpartition(".")[2] in _PARTS:
            return
        how = "is new" if old is None else "is not there any more"
        stages = [stage.name for stage in (new or old).stages]  # type: ignore[union-attr]
        yield OptionChange(name, "step", None, None, f"step {name} {how} ({', '.join(stages)})")
        return
    if old.key.listing != new.key.listing:
        yield OptionChange(name, "input", None, None, f"{name.removesuffix('.index')}: other input files")
    ours, theirs = _named(old), _named(new)
    for stage in dict.fromkeys([*theirs, *ours]):
        yield from _stage(name, stage, ours.get(stage), theirs.get(stage))
    if list(ours) != list(theirs) and set(ours) == set(theirs):
        words = f"{name}: the order of stages {', '.join(ours)} -> {', '.join(theirs)}"
        yield OptionChange(name, "stage", None, None, words)
    if (old.key.unicode, old.key.libraries) != (new.key.unicode, new.key.libraries):
        for library, versions in _differing({"unicode": old.key.unicode, **old.key.libraries},
                                            {"unicode": new.key.unicode, **new.key.libraries}):  # fmt: skip
            yield _library(name, library, *versions)


_PARTS = ("index", "scatter", "known", "match", "resolve")  # of a step that another one is told for


def _named(step: StepRecord) -> dict[str, StageKey]:
    """The stages by name; of several of one name the later have a number."""
    found: dict[str, StageKey] = {}
    for stage in step.stages:
        name = stage.name
        while name in found:
            name = f"{stage.name} ({len(found) + 1})"
        found[name] = stage
    return found


def _stage(step: str, name: str, old: StageKey | None, new: StageKey | None) -> Iterator[OptionChange]:
    if old is None or new is None:
        how = "is new" if old is None else "is not there any more"
        yield OptionChange(step, "stage", None, None, f"{step}: stage {name} {how}")
        return
    for option, (before, after) in _differing(old.options, new.options):
        values = _value(before), _value(after)
        words = f"{name}: {option} {_short(values[0])} -> {_short(values[1])}"
        yield OptionChange(step, option, *values, words)
    if old.code != new.code:
        yield OptionChange(step, "code", None, None, f"{name}: its code is another version")
    for library, versions in _differing(old.libraries, new.libraries):
        yield _library(name, library, *versions)
    for file, _ in _differing(old.files, new.files):
        yield OptionChange(step, "file", None, None, f"{name}: the file {file} is another")


def _library(name: str, library: str, before: Any, after: Any) -> OptionChange:
    values = tuple(None if one is _ABSENT else str(one) for one in (before, after))
    words = f"{library} {values[0] or 'not used'} -> {values[1] or 'not used'}"
    return OptionChange(name, library, values[0], values[1], words)


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Names, with dots between levels, and the two values of what is not the same."""
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differing(before, after, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", (before, after)


def _value(value: Any) -> str | None:
    return None if value is _ABSENT else json.dumps(value, ensure_ascii=False, default=str)


def _short(value: str | None) -> str:
    return "(not set)" if value is None else text.printable(value.strip('"'), _SHOWN)


def share_changes(before: RunRecord, after: RunRecord) -> tuple[ShareChange, ...]:
    """Sources and groups of whose mixtures the share or the tokens are not the same; none where a run has no
    mixture that holds."""
    ours, theirs = _shares(before), _shares(after)
    if ours is None or theirs is None:
        return ()
    found = []
    for name in dict.fromkeys([*theirs, *ours]):
        old, new = ours.get(name, (None, None)), theirs.get(name, (None, None))
        if old != new:
            found.append(ShareChange(name, old[0], new[0], old[1], new[1]))
    return tuple(found)


def _shares(record: RunRecord) -> dict[str, tuple[float | None, int | None]] | None:
    facts = mixture_facts(record)
    if facts is None or record.complete(facts.step) is None:
        return None
    found: dict[str, tuple[float | None, int | None]] = {
        name: (one.achieved_share, one.achieved_tokens) for name, one in facts.sources.items()
    }
    for phase in facts.phases:
        where = f"{phase.name}: " if len(facts.phases) > 1 else ""
        found |= {f"{where}{one.name}": (one.share, one.tokens) for one in phase.groups}
    return found
