"""BPE in its two forms, step by step: a list of merges (`tokenizers`) and ranks of tokens (tiktoken)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise


def by_merges(text: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """Join the neighbours whose pair stands first in the list, the leftmost first, until there are none."""
    order: dict[tuple[str, str], int] = {}
    for position, pair in enumerate(merges):
        order.setdefault(pair, position)
    return _join(text, lambda left, right: order.get((left, right)))


def by_ranks(text: str, ranks: Mapping[str, int]) -> list[str]:
    """Join the neighbours that make the token of lowest rank, the leftmost first, until there are none."""
    return _join(text, lambda left, right: ranks.get(left + right))


def _join(text: str, rank: Callable[[str, str], int | None]) -> list[str]:
    parts = list(text)
    while True:
        found = [(rank(a, b), i) for i, (a, b) in enumerate(pairwise(parts))]
        known = [(value, i) for value, i in found if value is not None]
        if not known:
            return parts
        _, at = min(known)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
