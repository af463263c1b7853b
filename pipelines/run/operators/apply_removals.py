"""Turn removals and edits into a mask: files for `MASK_UNITS` units of the view each, a record batch a unit.

Here the ledger of an exchange is kept: what came in is the view as it stood, what is removed or cut is so by
address. A removal of a document that was removed before is a fault of the stage and fails the run. Of a
document that is removed nothing is cut, and nothing in favour of one that is quarantined. Texts are read only
of units that have edits or quarantined documents. Where the step before has many units, levels of merges come
first (see `buckets`). Of more than `AT_ONCE` removals and edits a bucket is read anew for some of its units
at a time. Memory: `AT_ONCE` of them, or those of one unit where these are more, and one row group of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.known import told
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import FileEntry, MaskPart, UnitResult
from corpusmill.pipelines.run.operators.buckets import (
    FOUND_FILE,
    MERGED,
    bucket_batches,
    coarse_width,
    merge_buckets,
    merge_levels,
    read_bucket,
)
from corpusmill.pipelines.run.operators.cutting import cut_bytes, cut_unit
from corpusmill.pipelines.run.operators.job import Done, Job, Lazily, Preparation
from corpusmill.pipelines.run.operators.layout import FAN
from corpusmill.pipelines.run.operators.left_out import addresses, read_left_out, without
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.committed import earlier
from corpusmill.pipelines.storage.cuts import EDITS_FILE, CutsWriter
from corpusmill.pipelines.storage.datasets import MASK_UNITS, DatasetView
from corpusmill.pipelines.storage.pairs import units_of, unpacked
from corpusmill.pipelines.storage.removed import REMOVED, quarantined_table, write_removed
from corpusmill.pipelines.storage.run_folder import Attempt, StepFolder

AT_ONCE = 2**18  # removals and edits in memory, of more than one unit
SCHEMAS = {FOUND_FILE: DUPLICATES, EDITS_FILE: EDITS}


@dataclass(frozen=True)
class BucketUnit:
    """One bucket of the view's units, which are those from `first` up to `end`, or (`bucket` None) a merge.

    `files`: the units to read, from the first up to the second, which are of the step before (`merged` 0) or
    of this step. `merged`: how many units of this step come before those of its buckets.
    """

    bucket: int | None
    files: tuple[int, int]
    merged: int = 0
    of_before: bool = True
    first: int = 0
    end: int = 0


def units(preparation: Preparation) -> Sequence[BucketUnit]:
    return _level(preparation, 0)


def then(preparation: Preparation, done: Done) -> Sequence[BucketUnit]:
    return _level(preparation, len(done.counts))


def _later(preparation: Preparation, first: int) -> int:
    merging = merge_levels(len(preparation.first.units))
    return sum(merging[1:]) + _buckets(preparation) if merging else 0


def _buckets(preparation: Preparation) -> int:
    return max(1, -(-len(preparation.view) // MASK_UNITS))


def _level(preparation: Preparation, level: int) -> Sequence[BucketUnit]:
    """The units of a level: merges, and in the last one buckets."""
    before = len(preparation.first.units)
    merging = merge_levels(before)
    if level > len(merging):
        return ()
    merged, of_before = sum(merging), level == 0
    start = sum(merging[: level - 1]) if level else 0
    count = merging[level - 1] if level else before

    def merge(place: int) -> BucketUnit:
        files = start + place * FAN, start + min(count, (place + 1) * FAN)
        return BucketUnit(None, files, merged, of_before)

    if level < len(merging):
        return Lazily(merging[level], merge)
    seen = len(preparation.view)

    def bucket(place: int) -> BucketUnit:
        bounds = place * MASK_UNITS, min(seen, (place + 1) * MASK_UNITS)
        return BucketUnit(place, (start, start + count), merged, of_before, *bounds)

    return Lazily(_buckets(preparation), bucket)


def _files(job: Job[BucketUnit], kind: str) -> tuple[StepFolder, list[FileEntry]]:
    """The step and its files, named as `kind` in the step before, that a unit reads."""
    numbers = range(*job.unit.files)
    if job.unit.of_before:
        found = [file for unit in job.first.units[numbers.start : numbers.stop] for file in unit.files]
        return job.first, [file for file in found if file.name.endswith(f".{kind}")]
    found = [file for number in numbers for file in earlier(job.folder, number).files]
    return job.folder, [file for file in found if file.name.endswith(f".{MERGED[kind]}")]


class _Bucket:
    """Removals and edits of the job's bucket, of some of its units at a time."""

    def __init__(self, job: Job[BucketUnit], left: pa.Table) -> None:
        assert job.unit.bucket is not None
        width = coarse_width(-(-len(job.view) // MASK_UNITS)) if job.unit.of_before else 1
        self._number, self._left = job.unit.bucket // width, left
        self._files = {kind: _files(job, kind) for kind in SCHEMAS}
        first = job.unit.bucket * MASK_UNITS
        self._units = range(first, first + MASK_UNITS)

    def runs(self) -> Iterator[tuple[range, pa.Table, pa.Table]]:
        """All units of the bucket, as many at once as have no more than `AT_ONCE` rows, at least one, with
        their removals and their edits, without documents that were left out."""
        counts = np.zeros(MASK_UNITS, np.int64)
        waiting: dict[str, list[pa.Table]] = {kind: [] for kind in SCHEMAS}
        for kind, files in self._files.items():
            for batch in bucket_batches(*files, self._number):
                unit = units_of(batch).astype(np.int64) - self._units.start
                counts += np.bincount(unit[(unit >= 0) & (unit < MASK_UNITS)], minlength=MASK_UNITS)
                if counts.sum() <= AT_ONCE:
                    waiting[kind].append(unpacked(batch, self._units))
        if counts.sum() <= AT_ONCE:
            yield self._units, *(self._joined(kind, waiting[kind]) for kind in SCHEMAS)
            return
        waiting.clear()
        ends = np.cumsum(counts)
        first = 0
        while first < len(ends):
            before = int(ends[first - 1]) if first else 0
            end = max(first + 1, int(np.searchsorted(ends, before + AT_ONCE, "right")))
            yield self._units[first:end], *(self._read(kind, self._units[first:end]) for kind in SCHEMAS)
            first = end

    def _read(self, kind: str, units: range) -> pa.Table:
        return without(read_bucket(*self._files[kind], self._number, SCHEMAS[kind], units), self._left)

    def _joined(self, kind: str, tables: Iterable[pa.Table]) -> pa.Table:
        return without(pa.concat_tables([SCHEMAS[kind].empty_table(), *tables]).combine_chunks(), self._left)


def work(job: Job[BucketUnit], attempt: Attempt) -> UnitResult:
    if job.unit.bucket is None:
        for kind, merged in MERGED.items():
            merge_buckets(*_files(job, kind), attempt.file(merged))
        return UnitResult(0, part=MaskPart(MASK_UNITS, {}, job.unit.merged))
    (stage,) = job.stages()
    view = job.view
    left = read_left_out(job.first)
    ledger = Ledger()
    rows: dict[int, int] = {}
    writer = CutsWriter(attempt.file(EDITS_FILE))

    def removed() -> Iterator[pa.Table]:
        for units, found, edits in _Bucket(job, left).runs():
            pairs = _closest(found)
            del found
            unit_of_pair = pairs.column("unit").to_numpy()
            beyond = unit_of_pair[unit_of_pair >= job.unit.end]
            if len(beyond):
                raise CorpusmillError(
                    f"{stage.name} removes documents of unit {beyond[0]}, but there are {len(view)}; give "
                    "`unit` and `row` as `emit` had them"
                )
            for unit in range(units.start, min(units.stop, job.unit.end)):
                start, end = np.searchsorted(unit_of_pair, [unit, unit + 1])
                removals = _removed(stage.name, pairs.slice(start, end - start))
                here = edits.filter(pc.equal(edits.column("unit"), unit))
                of_removed = np.isin(here.column("row").to_numpy(), removals.column("row").to_numpy())
                cuts, emptied = cut_unit(view, unit, here.filter(pa.array(~of_removed)), stage.name)
                writer.add(cuts)
                table = pa.concat_tables([removals, emptied, *_quarantined(view, unit, left, stage.name)])
                _count(ledger, stage.name, view, unit, table, cuts)
                if table.num_rows:
                    rows[unit] = table.num_rows
                yield table

    write_removed(attempt.file("removed.arrow"), removed())
    writer.close()
    ledger.check(f"{job.step.name}, bucket {attempt.unit}")
    return UnitResult(sum(rows.values()), ledger.record(), MaskPart(MASK_UNITS, rows, job.unit.merged))


def _closest(pairs: pa.Table) -> pa.Table:
    """One removal a document, by address: that with the closest survivor, of these the one of least id."""
    ways = (
        ("unit", "ascending"),
        ("row", "ascending"),
        ("similarity", "descending"),
        ("survivor_id", "ascending"),
    )
    pairs = pairs.take(pc.sort_indices(pairs, sort_keys=list(ways))).combine_chunks()
    address = addresses(pairs)
    return pairs.filter(pa.array(np.append(True, address[1:] != address[:-1])[: len(address)]))


def _removed(stage: str, pairs: pa.Table) -> pa.Table:
    """`REMOVED` rows of documents and their survivors."""
    sources = contiguous(pairs.column("survivor_source")).dictionary_encode()
    named = pa.array([told(source) for source in sources.dictionary.to_pylist()], pa.string())
    known = {name: pairs.column(name) for name in pairs.column_names if name in REMOVED.names}
    known |= {
        "stage": pa.repeat(stage, len(pairs)),
        "kind": pa.repeat("removed", len(pairs)),
        "survivor_source": named.take(sources.indices),
    }
    columns = [known.get(field.name, pa.nulls(len(pairs), field.type)) for field in REMOVED]
    return pa.table(columns, schema=REMOVED)


def _quarantined(view: DatasetView, unit: int, left: pa.Table, stage: str) -> Iterator[pa.Table]:
    """`REMOVED` rows of the documents of a unit that the exchange could not judge."""
    here = left.filter(pc.equal(left.column("unit"), unit))
    causes = dict(zip(here.column("row").to_pylist(), here.column("cause").to_pylist(), strict=True))
    for docs, rows in view.batches(unit) if causes else ():
        bad = np.isin(rows, np.array(list(causes), np.uint32))
        numbers = rows[bad]
        table = quarantined_table(docs.keep(bad), stage, [causes[row] for row in numbers.tolist()])
        for name, values in (("unit", np.full(len(numbers), unit, np.uint32)), ("row", numbers)):
            table = table.set_column(REMOVED.get_field_index(name), REMOVED.field(name), pa.array(values))
        yield table


def _count(
    ledger: Ledger, stage: str, view: DatasetView, unit: int, removed: pa.Table, cuts: pa.Table
) -> None:
    """Count one unit: `removed` are its `REMOVED` rows, `cuts` its `CUTS`.

    Raises CorpusmillError where a document was removed before, or never was.
    """
    facts, ids = view.facts(unit), removed.column("id")
    rows = removed.column("row").to_numpy()
    beyond = np.flatnonzero(rows >= facts.rows)
    if len(beyond):
        first = int(beyond[0])
        raise CorpusmillError(
            f"{stage} removes document {ids[first]} at row {rows[first]} of unit {unit}, which has "
            f"{facts.rows:,} rows; give `unit` and `row` as `emit` had them"
        )
    again = np.flatnonzero(np.isin(rows, view.removed_rows(unit)))
    if len(again):
        raise CorpusmillError(f"{stage} removes document {ids[int(again[0])]} of unit {unit} a second time")
    arrived = {source: [documents, size] for source, (documents, size) in facts.sources.items()}
    for batch in view.mask_batches(unit):
        for source, _, _, documents, size in _sums(batch):
            arrived[source][0] -= documents
            arrived[source][1] -= size
    for batch in view.cut_batches(unit):
        for source, _, size in cut_bytes(batch):
            arrived[source][1] -= size
    taken_out: dict[str, list[int]] = {}
    for source, kind, reason, documents, size in _sums(removed):
        tally = taken_out.setdefault(source, [0, 0])
        tally[0] += documents
        tally[1] += size
        entry = ledger.entry(stage, source)
        (entry.remove if kind == "removed" else entry.quarantine)(reason, documents, size)
    for source, reason, size in cut_bytes(cuts):
        taken_out.setdefault(source, [0, 0])[1] += size
        ledger.entry(stage, source).cut_out(reason, size)
    for source, (documents, size) in arrived.items():
        entry = ledger.entry(stage, source)
        less = taken_out.get(source, [0, 0])
        entry.arrive(documents, size)
        entry.keep(documents - less[0], size - less[1], size - less[1])


def _sums(removed: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, str, str, int, int]]:
    """(source, kind, reason, documents, bytes) of `REMOVED` rows."""
    by = ["source", "kind", "reason"]
    table = pa.table({name: removed.column(name) for name in (*by, "bytes")})
    sums = table.group_by(by).aggregate([("bytes", "count"), ("bytes", "sum")])
    for row in sums.sort_by([(name, "ascending") for name in by]).to_pylist():
        yield row["source"], row["kind"], row["reason"], row["bytes_count"], row["bytes_sum"]


OPERATOR = Operator(
    "apply_removals",
    reads="pairs",
    writes="removals",
    unit=BucketUnit,
    units=units,
    work=work,
    then=then,
    later=_later,
    balances="documents",
    datasets_from=1,
    lists_removed="where any",
)
