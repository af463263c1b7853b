"""Rows of what steps removed, cut and found to be duplicates, as their tables hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemovedRow:
    """A document that was removed or quarantined: a row of `storage.removed.REMOVED`."""

    unit: int | None
    row: int | None
    id: str | None
    source: str
    stage: str
    kind: str
    reason: str
    bytes: int
    position: str | None
    survivor_id: str | None
    survivor_source: str | None
    similarity: float | None
    lang: str | None
    detail: str | None
    excerpt: str | None


@dataclass(frozen=True)
class CutRow:
    """A part cut from a document that stays, bytes `start` to `end` of its text: a row of
    `storage.cuts.CUTS`."""

    unit: int
    row: int
    start: int
    end: int
    id: str
    source: str
    stage: str
    reason: str
    survivor_id: str | None
    survivor_source: str | None
    excerpt: str | None


@dataclass(frozen=True)
class PairRow:
    """A document and the one it repeats: a row of `addresses.DUPLICATES`."""

    unit: int
    row: int
    id: str
    source: str
    bytes: int
    reason: str
    survivor_unit: int
    survivor_row: int
    survivor_id: str
    survivor_source: str
    survivor_bytes: int
    similarity: float
