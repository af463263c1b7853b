"""Where in a document a question stands whose words may have been changed here and there.

Legend: Q words of a question, V words of a document.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
NARROWEST, WIDEST = 8, 64
LEFT, UP, BOTH = 0, 1, 2


@compiled
def band_of(n_words: int) -> int:
    """How many words inserted or left out are followed: a quarter of the question's, from 8 to 64."""
    return max(NARROWEST, min(WIDEST, n_words // 4))


@compiled
def align(
    hash_Q: Hashes, hash_V: Hashes, n_words: int, first: int, moves: npt.NDArray[np.uint8], at_Q: Integers
) -> int:
    """The longest common subsequence of question and document near one place.

    `first` is where the question's first word is expected; pairs of words are at most `band_of(Q)` places off
    that. `at_Q` int64[Q] receives each word's place in the document, or -1; of subsequences of equal length,
    the one that ends first, its words as late as may be. Returns its length. Needs `moves`
    uint8[Q * (2 * band + 1)]. Time: Q times that.
    """
    size = len(hash_Q)
    at_Q[:] = -1
    if first >= 0 and first + size <= n_words:
        same = 0
        while same < size and hash_V[first + same] == hash_Q[same]:
            same += 1
        if same == size:
            for q in range(size):
                at_Q[q] = first + q
            return size
    band = band_of(size)
    width = 2 * band + 1
    before = np.zeros(width + 1, np.int64)
    now = np.zeros(width + 1, np.int64)
    for q in range(size):
        left = np.int64(0)
        for b in range(width):
            at = q + first - band + b
            up = before[b + 1]
            best, move = (left, LEFT) if left >= up else (up, UP)
            if 0 <= at < n_words and hash_V[at] == hash_Q[q] and before[b] + 1 >= best:
                best, move = before[b] + 1, BOTH
            now[b] = best
            moves[q * width + b] = move
            left = best
        before, now = now, before
    length = int(before[width - 1])
    q, b = size - 1, 0
    while before[b] < length:
        b += 1
    while q >= 0 and b >= 0 and b < width:
        move = moves[q * width + b]
        if move == BOTH:
            at_Q[q] = q + first - band + b
            q -= 1
        elif move == UP:
            q -= 1
            b += 1
        else:
            b -= 1
    return length
