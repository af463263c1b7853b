"""What makes a pair of documents, of the options of `Minhash`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What makes a pair: see `Minhash`. `threshold` is 0 where `verify` is false."""

    verify: bool
    threshold: float
    max_bucket: int
    priority: tuple[str, ...]
    reason: str
