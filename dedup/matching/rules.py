"""What makes a pair of documents, of the options of `Minhash`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What makes a pair: see `Minhash`. `threshold` is 0 where `verify` is false; `containment`: whether the
    share of the worse document's shingles is measured, rather than the Jaccard index."""

    verify: bool
    containment: bool
    threshold: float
    max_bucket: int
    priority: tuple[str, ...]
    reason: str

    @property
    def least_ratio(self) -> float:
        """The least ratio of the sizes of two sets, the smaller to the larger, that may be a pair."""
        return 0.0 if self.containment else self.threshold
