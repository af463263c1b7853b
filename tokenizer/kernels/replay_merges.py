"""Replays a merge list on words and notes at which length of the list each merge first happens.

Byte pair encoding takes, again and again, the pair of neighbours that stands first in the merge list (the
leftmost of equals). Let r_1, r_2, ... be the positions in the list of the merges it makes on a word, and
m_i = max(r_1 .. r_i). Then encoding with only the first k merges makes exactly the merges with m_i < k:
up to the first step with r_i >= k both choose alike, because the smallest position on offer is below k; and
at that step the short list offers nothing any more. So one pass over the whole list tells the number
of tokens for every prefix of it. (The positions themselves need not rise: where two merges make the same
token, a merge that stands between them in the list may have to wait for the later one. Hence the maximum.)

Words may be pre-tokens, or tokens of an encoded text: a merge that crossed the border of two final tokens
would have joined them, so inside a final token the same merges are made as on that token alone, and the
tokens of a text at any prefix are the tokens at that prefix of its final tokens, one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled

NONE = np.int64(2**62)  # the rank of a pair that is no merge


@compiled
def _find(keys: Any, left: int, right: int) -> int:
    """Where the pair stands in `keys` (sorted uint64[m]: left << 32 | right), or -1."""
    key = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(keys) and keys[low] == key else -1


@compiled
def replay_merges(
    offsets: Any, data: Any, first: Any, keys: Any, ranks: Any, results: Any, steps: Any, pieces: Any
) -> None:
    """Encode each word and write the prefix at which each of its merges first happens.

    `offsets` int64[n + 1] and `data` uint8[...] hold n words of at least one byte; `first` int64[256] is the
    symbol of each byte; `keys` uint64[m] (sorted), `ranks` int64[m] and `results` int64[m] describe the
    merges: pair, position in the list, symbol made. Into `steps` (int64, one place for each byte of all
    words) go, from `offsets[w] - offsets[0]` on, the running maxima m_i of word w, the rest of its places
    being -1; into `pieces` (int64[n]) how many symbols the word ends as. Time is quadratic in the length of
    a word.
    """
    longest = 1
    for w in range(len(offsets) - 1):
        longest = max(longest, offsets[w + 1] - offsets[w])
    symbols = np.empty(longest, np.int64)
    at_pair = np.empty(longest, np.int64)  # where the pair (i, i + 1) stands in keys, or -1
    for w in range(len(offsets) - 1):
        start = offsets[w]
        size = offsets[w + 1] - start
        place = start - offsets[0]
        steps[place : place + size] = -1
        for i in range(size):
            symbols[i] = first[data[start + i]]
        for i in range(size - 1):
            at_pair[i] = _find(keys, symbols[i], symbols[i + 1])
        highest = np.int64(-1)
        while size > 1:
            best, where = NONE, -1
            for i in range(size - 1):
                if at_pair[i] >= 0 and ranks[at_pair[i]] < best:
                    best, where = ranks[at_pair[i]], i
            if where < 0:
                break
            symbols[where] = results[at_pair[where]]
            for i in range(where + 1, size - 1):
                symbols[i] = symbols[i + 1]
                at_pair[i] = at_pair[i + 1]
            size -= 1
            if where > 0:
                at_pair[where - 1] = _find(keys, symbols[where - 1], symbols[where])
            if where < size - 1:
                at_pair[where] = _find(keys, symbols[where], symbols[where + 1])
            highest = max(highest, best)
            steps[place] = highest
            place += 1
        pieces[w] = size
