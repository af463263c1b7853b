"""What is held out, `overlap.json`: how much of it there is, and how much of it stands elsewhere.

The step that compares what is held out with what is learnt from writes it; reports and inspection read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HeldOutShares:
    """The share of documents asked to be held out from each use."""

    tokenizer: float
    model: float


@dataclass(frozen=True)
class RemovedForHolding:
    """Documents removed: held-out ones that stand in others, others that stand in them, and those of common
    text."""

    held_out: int
    learnt: int
    common: int


@dataclass(frozen=True)
class HeldOutCount:
    """Documents held out from one use that stay, and their bytes."""

    documents: int
    bytes: int


@dataclass(frozen=True)
class HeldOutOfDocuments:
    """Of one source: its documents, those of families too large to be held out whole, and those held out."""

    documents: int
    in_large_families: int
    model: HeldOutCount
    tokenizer: HeldOutCount


@dataclass(frozen=True)
class Overlap:
    """`overlap`: the share of a document's word n-grams from which on it counts as standing in another;
    `compared`: held-out documents compared; `highest_overlap`, `highest_jaccard`: the most that any of them
    shares with a document that is learnt from, of what is left."""

    overlap: float
    shares: HeldOutShares
    compared: int
    removed: RemovedForHolding
    highest_overlap: float
    highest_jaccard: float
    sources: Mapping[str, HeldOutOfDocuments]
