"""From all pairs found to one removal a document, by a rule that the stage names, in rounds over partitions.

Documents have a home among partitions, as many as make `PARTITION_PAIRS` pairs in each. Units of the first
level read the pairs of some units of the step before and send them there; then, round after round, a unit for
each partition reads the notes sent to it and what it left in the round before, decides what it can, and
sends notes (`run/resolution`). Notes travel as the rows of an exchange do (`layout`). The rounds of the rule
`direct` end when nothing is open, or so little that one unit decides it all; those of `connected` when nobody
has sent a note, and a last level writes what is removed. With one partition a single unit does all of it at
once. Removals are the same, whatever the number of partitions. Memory: about
700 bytes a pair of the partition; of the first level two times `layout.FLUSH_BYTES`, and the pairs of a unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.records.receipt import Layout, PairsPart, UnitResult
from corpusmill.pipelines.run.operators.buckets import FOUND_FILE, coarse_width, read_found, write_buckets
from corpusmill.pipelines.run.operators.job import Done, Job, Lazily, Preparation, build_stage
from corpusmill.pipelines.run.operators.layout import (
    ROWS_FILE,
    Merge,
    RowsWriter,
    last_files,
    layout_of,
    merge_files,
    merges,
)
from corpusmill.pipelines.run.operators.left_out import read_left_out, without, write_left_out
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.resolution.notes import NOTES, Homes, Outcome, gathered
from corpusmill.pipelines.storage.checked_ipc import opened, read_batches, write_batches
from corpusmill.pipelines.storage.committed import earlier, earlier_file
from corpusmill.pipelines.storage.run_folder import Attempt

PARTITION_PAIRS = 2**18  # pairs whose worse documents are at home in one partition
PAIR_BYTES = 180  # of a file; a quarter of the memory
_MOST = 65_536
_STATE = "state.arrow"  # a unit's number stands before it


@dataclass(frozen=True)
class RuleUnit:
    """One unit, of the kind that `does` says.

    `sent`: how the notes of the first level lie. `first` and `end`: units of the step before, of the first
    level; `partition`: that at work in a round. `before`: the number of the first unit of the round before,
    None in the first round. `merge`: files to merge.
    """

    does: Literal["all", "send", "merge", "round", "gather", "write"]
    buckets: int
    sent: Layout
    first: int = 0
    end: int = 0
    partition: int = 0
    before: int | None = None
    merge: Merge | None = None


def units(preparation: Preparation) -> Sequence[RuleUnit]:
    every = _unit(preparation)
    sent = every.sent
    if sent.partitions == 1:
        return [replace(every, end=sent.units)]

    def sending(place: int) -> RuleUnit:
        first = place * sent.group
        return replace(every, does="send", first=first, end=min(sent.units, first + sent.group))

    return Lazily(sent.files[0], sending)


def then(preparation: Preparation, done: Done) -> Sequence[RuleUnit]:
    every = _unit(preparation)
    sent, level = every.sent, len(done.counts)
    if done.receipts[done.first(level) - 1].need(PairsPart).undecided is None:
        return ()
    if level < len(sent.files):
        return _merging(every, sent, level, 0)
    back = _between(sent.partitions)
    number, within = divmod(level - len(sent.files), len(back.files))
    if number == 0 and within == 0:
        return _rounds(every, None)
    latest = done.first(level - (within or len(back.files)))  # the first unit of the latest round
    if within:
        return _merging(every, back, within, latest)
    parts = (done.receipts[latest + place].need(PairsPart) for place in range(sent.partitions))
    undecided = sum(part.undecided or 0 for part in parts)
    if _resolution(preparation).rule == "direct":
        if undecided == 0:
            return ()
        if undecided <= PARTITION_PAIRS:
            return [replace(every, does="gather", before=latest)]
    elif undecided == 0:
        return [replace(unit, does="write") for unit in _rounds(every, latest)]
    return _rounds(every, latest)


def _later(preparation: Preparation, first: int) -> int | None:
    """Rounds go on until they change nothing."""
    return 0 if _unit(preparation).sent.partitions == 1 else None


def _unit(preparation: Preparation) -> RuleUnit:
    """What all units of the step have."""
    manifest = preparation.first.need_manifest()
    count = len(manifest.units)
    partitions = max(1, min(_MOST, -(-manifest.rows // PARTITION_PAIRS)))
    buckets = preparation.first.units.first_part(PairsPart).buckets
    return RuleUnit("all", buckets, layout_of(partitions, count))


def _resolution(preparation: Preparation) -> Resolution:
    (spec,) = preparation.step.stages
    return _rule(build_stage(spec))


def _rule(stage: object) -> Resolution:
    assert isinstance(stage, Deduplicate)
    found = stage.resolution()
    assert found is not None
    return found


def _between(partitions: int) -> Layout:
    """How the notes of a round lie, of which each unit writes a file."""
    return layout_of(partitions, partitions, sharing=False)


def _layout(unit: RuleUnit) -> Layout:
    """How the notes that a unit reads lie."""
    return unit.sent if unit.before is None else _between(unit.sent.partitions)


def _merging(every: RuleUnit, layout: Layout, level: int, first: int) -> Sequence[RuleUnit]:
    """Units that merge the files of a level, which begin at the unit `first`."""
    found = merges(layout, level)

    def merging(place: int) -> RuleUnit:
        merge = found[place]
        shifted = replace(merge, first=merge.first + first, end=merge.end + first)
        return replace(every, does="merge", merge=shifted, before=first or None)

    return Lazily(len(found), merging)


def _rounds(every: RuleUnit, before: int | None) -> Sequence[RuleUnit]:
    def partition(number: int) -> RuleUnit:
        return replace(every, does="round", partition=number, before=before)

    return Lazily(every.sent.partitions, partition)


def work(job: Job[RuleUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    return _WORK[job.unit.does](job, attempt, _rule(stage))


def _all(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    from corpusmill.pipelines.run.resolution.at_once import resolve_at_once

    unjudged = read_left_out(job.first)
    write_left_out(attempt, [unjudged])
    found = pa.concat_tables([DUPLICATES.empty_table(), *_pairs(job)])
    removals = resolve_at_once(without(found, unjudged), rule)
    write_buckets(attempt.file(FOUND_FILE), removals, coarse_width(job.unit.buckets))
    return UnitResult(removals.num_rows, part=PairsPart(job.unit.buckets, pairs=found.num_rows))


def _pairs(job: Job[RuleUnit]) -> Iterator[pa.Table]:
    """The pairs of each of the job's units of the step before."""
    for number in range(job.unit.first, job.unit.end):
        name = f"{number:05d}.{FOUND_FILE}"
        if job.first.has(name):
            yield read_found(job.first.file(name))


def _send(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    unjudged = read_left_out(job.first)
    if job.unit.first == 0:
        write_left_out(attempt, [unjudged])
    layout = job.unit.sent
    first_notes = _first_notes(rule)
    writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
    pairs = 0
    for found in _pairs(job):
        pairs += found.num_rows
        writer.add(first_notes(without(found, unjudged), Homes(layout.partitions)))
    writer.close()
    return UnitResult(0, part=PairsPart(job.unit.buckets, pairs=pairs, undecided=pairs))


def _merge(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    merge = job.unit.merge
    assert merge is not None
    merge_files(job.folder, _layout(job.unit), merge, attempt.file(ROWS_FILE))
    return UnitResult(0, part=PairsPart(job.unit.buckets, undecided=0))


def _round(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    partitions, here = job.unit.sent.partitions, job.unit.partition
    outcome = round_of(rule, _state(job, here), _notes(job, here), Homes(partitions, here))
    layout = _between(partitions)
    writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
    writer.add(outcome.sent)
    writer.close()
    write_batches(attempt.file(_STATE), NOTES, outcome.state.to_batches())
    return _written(job, attempt, outcome.removed, outcome.undecided)


def _gather(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    every = range(job.unit.sent.partitions)
    state = gathered(_state(job, partition) for partition in every)
    notes = gathered(_notes(job, partition) for partition in every)
    outcome = round_of(rule, state, notes, Homes(job.unit.sent.partitions))
    return _written(job, attempt, outcome.removed, None)


def _write(job: Job[RuleUnit], attempt: Attempt, rule: Resolution) -> UnitResult:
    from corpusmill.pipelines.run.resolution import connected

    removed = connected.removals(_state(job, job.unit.partition), rule)
    return _written(job, attempt, removed, None)


def _first_notes(rule: Resolution) -> Callable[[pa.Table, Homes], pa.Table]:
    """Modules with kernels, and with them numba, are imported where a unit is at work: every command imports
    the operators."""
    from corpusmill.pipelines.run.resolution import connected, direct

    return direct.first_notes if rule.rule == "direct" else connected.first_notes


def round_of(rule: Resolution, state: pa.Table, notes: pa.Table, homes: Homes) -> Outcome:
    """One round of one partition, or of all."""
    from corpusmill.pipelines.run.resolution import connected, direct

    if rule.rule == "direct":
        return direct.round_of(state, notes, homes, rule)
    return connected.round_of(state, notes, homes, rule)


def _state(job: Job[RuleUnit], partition: int) -> pa.Table:
    """`NOTES` that the partition's unit of the round before has left."""
    if job.unit.before is None:
        return NOTES.empty_table()
    path = earlier_file(job.folder, job.unit.before + partition, _STATE)
    return pa.Table.from_batches(list(read_batches(path)), NOTES)


def _notes(job: Job[RuleUnit], partition: int) -> pa.Table:
    """`NOTES` sent to the partition."""
    places = last_files(_layout(job.unit), partition)
    receipts = [earlier(job.folder, (job.unit.before or 0) + place) for place in places]
    entries = [entry for unit in receipts for entry in unit.files if entry.name.endswith(ROWS_FILE)]
    with opened(job.folder, entries, partition, partition + 1) as files:
        batches = [batch for file in files for batch in file.numbered(partition)]
    return gathered([pa.Table.from_batches([batch]) for batch in batches])


def _written(job: Job[RuleUnit], attempt: Attempt, removed: pa.Table, undecided: int | None) -> UnitResult:
    """Write removals, where there are any."""
    write_buckets(attempt.file(FOUND_FILE), removed, coarse_width(job.unit.buckets))
    return UnitResult(removed.num_rows, part=PairsPart(job.unit.buckets, undecided=undecided))


_Work = Callable[[Job[RuleUnit], Attempt, Resolution], UnitResult]
_WORK: dict[str, _Work] = {
    "all": _all,
    "send": _send,
    "merge": _merge,
    "round": _round,
    "gather": _gather,
    "write": _write,
}


def _weigh(preparation: Preparation, unit: RuleUnit) -> int:
    """Its share of the bytes of all pairs."""
    among = unit.sent.partitions
    if unit.does == "send":
        among = unit.sent.files[0]
    elif unit.merge is not None:
        among = _layout(unit).files[unit.merge.level]
    return PAIR_BYTES * preparation.first.need_manifest().rows // among


def _warm() -> None:
    """Both rules on one pair, at once and in a round: arrays are of other kinds there."""
    from corpusmill.pipelines.run.resolution.at_once import resolve_at_once

    facts = {"id": "0" * 32, "source": "", "bytes": 0, "reason": "", "similarity": 1.0}
    pair = {**{f"survivor_{name}": value for name, value in facts.items()}, **facts}
    worse, better = {"unit": 0, "row": 1}, {"survivor_unit": 0, "survivor_row": 0}
    pairs = pa.Table.from_pylist([{**pair, **worse, **better}], DUPLICATES)
    rules: tuple[Literal["direct", "connected"], ...] = ("direct", "connected")
    for name in rules:
        rule, homes = Resolution(name, ""), Homes(1, 0)
        resolve_at_once(pairs, rule)
        round_of(rule, NOTES.empty_table(), gathered([_first_notes(rule)(pairs, homes)]), homes)


OPERATOR = Operator(
    "resolve_by_rule",
    reads="pairs",
    writes="pairs",
    unit=RuleUnit,
    units=units,
    work=work,
    then=then,
    later=_later,
    weigh=_weigh,
    warm=_warm,
)
