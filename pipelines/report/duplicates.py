"""What deduplication removed: sizes of clusters and similarities, by step.

A cluster is a survivor with all that was removed in its favour. Of a very large removal, clusters are
sampled by the survivors' ids (a cluster is counted whole or not at all) and counts are scaled up. Memory:
eight bytes a sampled removal, 40 MB at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.inspection.identities import arrow_batches, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.report.hex_ids import leading_bits

SAMPLED_ROWS = 5_000_000
_TENTHS = 20  # bars of the similarity histogram, from 0 to 1
_SIZES = [2, 3, 4, 5, 9, 17, 33, 65, 129, 257, 1025, 2**62]  # first size of each bar


@dataclass(frozen=True)
class SizeBar:
    """Clusters of `from` to `to` documents; the last bar has no end."""

    from_: int
    to: int | None
    clusters: int


@dataclass(frozen=True)
class SimilarityBar:
    """Documents removed whose similarity to their survivor is from `from` to `to`."""

    from_: float
    to: float
    documents: int


@dataclass(frozen=True)
class Duplicates:
    """What one deduplication removed: clusters, estimated where only some are sampled, by size, and documents
    by similarity."""

    step: str
    stage: str
    removed: int
    sampling_rate: float
    clusters: int
    largest_cluster: int
    cluster_sizes: tuple[SizeBar, ...]
    similarity: tuple[SimilarityBar, ...]


def duplicates(record: RunRecord) -> tuple[Duplicates, ...]:
    """One entry a complete deduplication step, in order; none for one that only cut parts of documents."""
    found = [(step, _one(step)) for step in record.masks if step.operator.reads == "pairs"]
    return tuple(one for step, one in found if one.removed or not any(entry.cut for entry in step.ledger))


def _one(step: StepRecord) -> Duplicates:
    rate = min(1.0, SAMPLED_ROWS / step.rows) if step.rows else 1.0
    limit = np.uint64(min(rate * 2.0**64, 2.0**64 - 2**12))
    sampled: list[npt.NDArray[np.uint64]] = []
    similar = np.zeros(_TENTHS, np.int64)
    for unit in step.units:
        for batch in arrow_batches(removed_path(step.data, unit.unit), ["survivor_id", "similarity"]):
            batch = batch.filter(batch.column("survivor_id").is_valid())  # quarantined ones have none
            bits = leading_bits(batch.column("survivor_id"))
            sampled.append(bits if rate == 1.0 else bits[bits < limit])
            values = batch.column("similarity").to_numpy(zero_copy_only=False)
            # Rounding keeps 0.85 in the bar that begins at 0.85.
            bars = np.clip(np.floor(np.round(values * _TENTHS, 9)).astype(np.int64), 0, _TENTHS - 1)
            similar += np.bincount(bars, minlength=_TENTHS)
    survivors = np.concatenate(sampled) if sampled else np.zeros(0, np.uint64)
    _, removed = np.unique(survivors, return_counts=True)
    return Duplicates(
        step=step.name,
        stage=step.stages[-1].name,
        removed=int(similar.sum()),
        sampling_rate=rate,
        clusters=round(len(removed) / rate),
        largest_cluster=int(removed.max()) + 1 if len(removed) else 0,
        cluster_sizes=_sizes(removed + 1, rate),
        similarity=tuple(
            SimilarityBar(round(bar / _TENTHS, 3), round((bar + 1) / _TENTHS, 3), int(n))
            for bar, n in enumerate(similar)
        ),
    )


def _sizes(sizes: npt.NDArray[np.int64], rate: float) -> tuple[SizeBar, ...]:
    """Clusters by size, up to the last bar that holds any."""
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
