"""A token cut into characters and joined by the ranks of others: the parts that lower ranks leave of it.

The ranks of the neighbours in a short token are scanned anew for each join, which is quickest. A token may
be as long as the file it comes from, so longer ones keep their neighbours in a heap and join each two texts
once: the time grows with n log n for a token of n characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

_SHORT = 64  # characters


def parts_by_rank(token: str, ranks: Mapping[str, int], below: int) -> list[str]:
    """`token`, cut into characters, joined by tokens of `ranks` lower than `below`, down to two parts.

    The neighbours whose joined token has the lowest rank are joined first, the leftmost of several. More
    than two parts: lower ranks cannot bring it any further.
    """
    return (scanned_parts if len(token) <= _SHORT else heaped_parts)(token, ranks, below)


def scanned_parts(token: str, ranks: Mapping[str, int], below: int) -> list[str]:
    """`parts_by_rank` with a scan of all neighbours for each join."""
    parts = list(token)
    rank_of = ranks.get
    joined = [rank_of(left + right, below) for left, right in pairwise(parts)]
    while len(parts) > 2 and (lowest := min(joined)) < below:
        at = joined.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del joined[at]
        if at > 0:
            joined[at - 1] = rank_of(parts[at - 1] + parts[at], below)
        if at < len(joined):
            joined[at] = rank_of(parts[at] + parts[at + 1], below)
    return parts


def heaped_parts(token: str, ranks: Mapping[str, int], below: int) -> list[str]:
    """`parts_by_rank` with a heap of the neighbours that can be joined."""
    texts: list[str] = list(token)  # by the position of a part's first character; "" once joined to its left
    end = len(texts)
    after = list(range(1, end + 1))
    before = list(range(-1, end - 1))
    # The joined text and its rank for two texts. Parts that are equal are one object here, so that a look-up
    # compares no characters, and nothing is joined twice.
    known: dict[tuple[str, str], tuple[int, str]] = {}

    def joined(at: int) -> tuple[int, str]:
        pair = (texts[at], texts[after[at]])
        found = known.get(pair)
        if found is None:
            text = pair[0] + pair[1]
            rank = ranks.get(text, below)
            found = known[pair] = (rank, text if rank < below else "")
        return found

    # (rank, position): of equal ranks the leftmost is first. An entry is out of date once its position no
    # longer gives its rank.
    heap = [(rank, at) for at in range(end - 1) if (rank := joined(at)[0]) < below]
    heapify(heap)
    count = end
    while heap and count > 2:
        rank, at = heappop(heap)
        right = after[at]
        if not texts[at] or right == end or joined(at)[0] != rank:
            continue
        texts[at], texts[right] = joined(at)[1], ""
        count -= 1
        after[at] = after[right]
        if after[at] < end:
            before[after[at]] = at
        for left in (before[at], at):
            if left >= 0 and after[left] < end and (found := joined(left)[0]) < below:
                heappush(heap, (found, left))
    return [text for text in texts if text]
