"""Hashes of runs of words. Legend: W words of a document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import MULTIPLIER
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.mixing import avalanche

U64 = np.uint64
LENGTH_SALT = U64(0xA0761D6478BD642F)

Hashes = npt.NDArray[np.uint64]


@compiled
def gram_hashes(hash_W: Hashes, n_words: int, length: int, out: Hashes) -> int:
    """Hashes of all runs of `length` words into `out`; returns their number. The length enters the hash."""
    count = n_words - length + 1
    if count <= 0:
        return 0
    leaving = U64(1)
    for _ in range(length):
        leaving *= MULTIPLIER
    salt = U64(length) * LENGTH_SALT
    h = U64(0)
    for i in range(length):
        h = h * MULTIPLIER + hash_W[i]
    out[0] = avalanche(h ^ salt)
    for i in range(length, n_words):
        h = h * MULTIPLIER + hash_W[i] - leaving * hash_W[i - length]
        out[i - length + 1] = avalanche(h ^ salt)
    return count


@compiled
def gram_at(hash_W: Hashes, first: int, length: int) -> np.uint64:
    """The hash `gram_hashes` gives the run of `length` words from `first`."""
    h = U64(0)
    for i in range(first, first + length):
        h = h * MULTIPLIER + hash_W[i]
    return U64(avalanche(h ^ U64(length) * LENGTH_SALT))
