"""What deduplication removed: sizes of clusters and similarities, by step.

A cluster is a survivor with all that was removed in its favour (`storage.clusters`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.recall import Recall, recall_of
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.storage.clusters import Cluster, SizeBar, clusters_of

_TENTHS = 20  # bars of the similarity histogram, from 0 to 1
_LARGEST = 5  # clusters shown
SAMPLE, SAMPLE_BYTES = 5_000, 16 * 2**20  # documents compared with one another, for recall


@dataclass(frozen=True)
class SimilarityBar:
    """Documents removed whose similarity to their survivor is from `from` to `to`."""

    from_: float
    to: float
    documents: int


@dataclass(frozen=True)
class Duplicates:
    """What one deduplication removed: clusters, estimated where only some are sampled, by size; the largest;
    documents by similarity."""

    step: str
    stage: str
    removed: int
    sampling_rate: float
    clusters: int
    largest_cluster: int
    cluster_sizes: tuple[SizeBar, ...]
    similarity: tuple[SimilarityBar, ...]
    largest: tuple[Cluster, ...]


def duplicates(record: RunRecord) -> tuple[Duplicates, ...]:
    """One entry a complete deduplication step, in order; none for one that only cut parts of documents."""
    found = [(step, _one(step)) for step in record.masks if step.operator.reads == "pairs"]
    return tuple(one for step, one in found if one.removed or not any(entry.cut for entry in step.ledger))


def recall(record: RunRecord) -> tuple[Recall, ...]:
    """How well the pairs of each deduplication that can tell it are found, on a sample."""
    steps = [step for step in record.masks if step.operator.reads == "pairs"]
    found = (recall_of(record, step, SAMPLE, SAMPLE_BYTES) for step in steps)
    return tuple(one for one in found if one is not None)


def _one(step: StepRecord) -> Duplicates:
    similar = np.zeros(_TENTHS, np.int64)
    for unit in filter(has_removed, step.units):  # those that merge what buckets read list none
        for batch in arrow_batches(removed_path(step.data, unit.unit), ["survivor_id", "similarity"]):
            batch = batch.filter(batch.column("survivor_id").is_valid())  # quarantined ones have none
            values = batch.column("similarity").to_numpy(zero_copy_only=False)
            # Rounding keeps 0.85 in the bar that begins at 0.85.
            bars = np.clip(np.floor(np.round(values * _TENTHS, 9)).astype(np.int64), 0, _TENTHS - 1)
            similar += np.bincount(bars, minlength=_TENTHS)
    clusters = clusters_of(step.data, _LARGEST)
    return Duplicates(
        step=step.name,
        stage=step.stages[-1].name,
        removed=int(similar.sum()),
        sampling_rate=clusters.sampling_rate,
        clusters=clusters.clusters,
        largest_cluster=clusters.largest_cluster,
        cluster_sizes=clusters.sizes,
        similarity=tuple(
            SimilarityBar(round(bar / _TENTHS, 3), round((bar + 1) / _TENTHS, 3), int(n))
            for bar, n in enumerate(similar)
        ),
        largest=clusters.largest,
    )
