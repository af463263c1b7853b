"""Clusters of a step that removes duplicates: a survivor with all that was removed in its favour.

They are read off the step's lists of removed documents, which stay whatever a run keeps. Of more than
`SAMPLED_ROWS` removals, clusters are sampled by the survivors' ids (a cluster is counted whole or not at
all) and counts are scaled up; the largest are found among all of them nevertheless (`_Heavy`). Time: two
readings of the lists. Memory: 60 bytes a sampled removal, 80 MB for the largest, one record batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.records.ledger import Tally
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.hex_ids import leading_bits
from corpusmill.pipelines.storage.run_folder import StepFolder

SAMPLED_ROWS = 5_000_000
HEAVY = 2**20  # survivors counted at once for the largest clusters
EXAMPLES = 3  # removed documents named of a cluster
_SIZES = [2, 3, 4, 5, 9, 17, 33, 65, 129, 257, 1025, 2**62]  # first size of each bar
_COLUMNS = ("id", "source", "bytes", "survivor_id", "survivor_source")

Bits = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SizeBar:
    """Clusters of `from` to `to` documents; the last bar has no end."""

    from_: int
    to: int | None
    clusters: int


@dataclass(frozen=True)
class Cluster:
    """A survivor and what was removed in its favour: documents and bytes, these by source, and some of them,
    those of smallest id."""

    survivor_id: str
    survivor_source: str
    documents: int
    bytes: int
    sources: Mapping[str, Tally]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Clusters:
    """All clusters of a step. `removed`: documents that have a survivor; `sampling_rate`: of clusters that
    were counted, from which `clusters` and `sizes` are estimated; `largest`: the largest, from all."""

    removed: int
    sampling_rate: float
    clusters: int
    largest_cluster: int
    sizes: tuple[SizeBar, ...]
    largest: tuple[Cluster, ...]


def clusters_of(step: StepFolder, largest: int = 5, source: str | None = None) -> Clusters:
    """The clusters of a complete step, with so many of the largest; of `source`, where one is given, only
    what was removed of it. Raises IntegrityError where a list is damaged."""
    rows = step.need_manifest().rows
    rate = min(1.0, SAMPLED_ROWS / rows) if rows else 1.0
    limit = np.uint64(min(rate * 2.0**64, 2.0**64 - 2**12))
    sampled: list[Bits] = []
    heavy = _Heavy()
    removed = 0
    for batch in removed_for(step, source):
        bits = leading_bits(batch.column("survivor_id"))
        removed += len(bits)
        sampled.append(bits if rate == 1.0 else bits[bits < limit])
        if rate < 1.0:
            heavy.add(bits)
    survivors, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *sampled]), return_counts=True)
    often, times = (survivors, counts) if rate == 1.0 else heavy.found()
    found = _largest(step, source, often[np.lexsort((often, -times))[: 2 * max(1, largest)]])
    top = found[0].documents + 1 if found else int(counts.max(initial=-1)) + 1
    return Clusters(
        removed, rate, round(len(counts) / rate), top, size_bars(counts + 1, rate), tuple(found[:largest])
    )


def removed_for(step: StepFolder, source: str | None = None) -> Iterator[pa.RecordBatch]:
    """`REMOVED` rows that have a survivor, a record batch at a time: of a source or (None) of all."""
    for file in step.units.files("removed.arrow"):
        for batch in read_batches(step.file(file.name)):
            batch = batch.select(list(_COLUMNS)) if batch.num_rows else batch
            batch = batch.filter(batch.column("survivor_id").is_valid())  # quarantined ones have none
            if source is not None:
                batch = batch.filter(pc.equal(batch.column("source"), source))
            if batch.num_rows:
                yield batch


class _Heavy:
    """Survivors that occur often, of a stream of any length: every one of more than one in `HEAVY` of all.

    Counters of the rarest are given up as new ones come (Misra and Gries 1982), all less by the same amount,
    so what is left is a superset of the frequent ones, with counts that are too small.
    """

    def __init__(self) -> None:
        self._bits, self._counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._waiting: list[Bits] = []
        self._held = 0

    def add(self, bits: Bits) -> None:
        self._waiting.append(bits)
        self._held += len(bits)
        if self._held >= HEAVY:
            self._merge()

    def _merge(self) -> None:
        new, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *self._waiting]), return_counts=True)
        self._waiting, self._held = [], 0
        self._bits, of = np.unique(np.concatenate([self._bits, new]), return_inverse=True)
        self._counts = np.bincount(
            of, np.concatenate([self._counts, counts]), minlength=len(self._bits)
        ).astype(np.int64)
        if len(self._bits) > HEAVY:
            less = np.partition(self._counts, -HEAVY - 1)[-HEAVY - 1]
            stays = self._counts > less
            self._bits, self._counts = self._bits[stays], self._counts[stays] - less

    def found(self) -> tuple[Bits, Counts]:
        self._merge()
        return self._bits, self._counts


def _largest(step: StepFolder, source: str | None, wanted: Bits) -> list[Cluster]:
    """The clusters of these survivors, counted from all rows, the largest first."""
    made: dict[str, _Growing] = {}
    for batch in removed_for(step, source) if len(wanted) else ():
        mine = batch.filter(pa.array(np.isin(leading_bits(batch.column("survivor_id")), wanted)))
        for survivor in pc.unique(mine.column("survivor_id")).to_pylist():
            rows = mine.filter(pc.equal(mine.column("survivor_id"), survivor))
            made.setdefault(survivor, _Growing(rows.column("survivor_source")[0].as_py())).add(rows)
    found = [growing.cluster(survivor) for survivor, growing in made.items()]
    return sorted(found, key=lambda one: (-one.documents, one.survivor_id))


class _Growing:
    """One cluster while its documents are counted."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sources: dict[str, list[int]] = {}
        self.examples: list[str] = []

    def add(self, rows: pa.RecordBatch) -> None:
        sums = pa.Table.from_batches([rows]).group_by("source").aggregate([("bytes", "sum"), ("id", "count")])
        for one in sums.to_pylist():
            tally = self.sources.setdefault(one["source"], [0, 0])
            tally[0] += one["id_count"]
            tally[1] += one["bytes_sum"]
        least = pc.select_k_unstable(rows.column("id"), EXAMPLES, [("", "ascending")])
        few = rows.column("id").take(least).to_pylist()
        self.examples = sorted([*self.examples, *few])[:EXAMPLES]

    def cluster(self, survivor: str) -> Cluster:
        sources = {name: (documents, size) for name, (documents, size) in sorted(self.sources.items())}
        documents, size = (sum(tally[place] for tally in sources.values()) for place in (0, 1))
        return Cluster(survivor, self.source, documents, size, sources, tuple(self.examples))


def size_bars(sizes: Counts, rate: float) -> tuple[SizeBar, ...]:
    """Clusters by size, up to the last bar that holds any; counts are scaled up where only some (`rate`) are
    given."""
    counts = np.histogram(sizes, bins=np.array(_SIZES))[0] if len(sizes) else np.zeros(0, np.int64)
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    return tuple(
        SizeBar(
            from_=_SIZES[bar],
            to=_SIZES[bar + 1] - 1 if bar + 2 < len(_SIZES) else None,
            clusters=round(int(counts[bar]) / rate),
        )
        for bar in range(last)
    )
