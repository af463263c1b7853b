"""The rules by which removals follow from pairs that a deduplication finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Resolution:
    """How removals follow from all pairs that an exchange finds, by a rule that works in rounds as well.

    `rule`: `direct`: from the best document to the worst, one is removed if and only if a better one that it
    is paired with is kept; its survivor is the most similar of those, and documents paired at exactly 1.0
    share their fate. `connected`: of documents that pairs connect, however far apart, all but the best are
    removed; the similarity is then that of a document's closest pair. Similarities lie between 0 and 1.

    Every pair names the worse document first, in the order of `survivors.order` with `priority`. `reason`: of
    every removal. Pairs found several times count once.
    """

    rule: Literal["direct", "connected"]
    reason: str
    priority: tuple[str, ...] = ()
