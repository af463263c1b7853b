"""A seeded permutation of 0..n-1 in constant memory: any position can be asked for at any time.

A balanced Feistel network permutes the smallest domain 2^(2w) >= n; positions that land outside 0..n-1 walk
on through the network until they come back inside (cycle walking, Black & Rogaway 2002), which keeps it a
bijection of 0..n-1. The domain is under 4n, so a walk takes under 4 passes on average. Nothing is stored
but the round keys, so an epoch over 10^12 rows costs the same memory as one over 10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.randomness import generator
from corpusmill.training_hooks.kernels.sequences import permuted_all

ROUNDS = 8


class Permutation:
    """The permutation of 0..n-1 named by `(seed, purpose)`; `n` below 2^62.

    `half` and `keys` are what the kernels of `kernels.sequences` take: the bits of half the domain, and a key
    a round. Equal arguments give equal permutations on every machine. Raises ValueError for n out of range.
    """

    def __init__(self, n: int, seed: int, purpose: str) -> None:
        if not 0 <= n < 2**62:
            raise ValueError(f"a permutation needs 0 <= n < 2**62, got {n}")
        self.n = n
        self.half = max(1, ((max(n, 2) - 1).bit_length() + 1) // 2)
        self.keys = generator(seed, purpose).integers(0, 2**64, ROUNDS, dtype=np.uint64)

    def __call__(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Where each of `positions` (integers in 0..n-1, any shape) goes, int64 of the same shape.

        Raises IndexError for a position outside 0..n-1.
        """
        asked = np.asarray(positions, np.int64)
        if asked.size and (asked.min() < 0 or asked.max() >= self.n):
            raise IndexError(f"positions must lie in 0..{self.n - 1}")
        flat = np.ascontiguousarray(asked).reshape(-1)
        return permuted_all(flat, self.n, self.half, self.keys).reshape(asked.shape)
