"""Randomness from the recipe's seed and content-stable ids, never from order, workers or time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

HELD_OUT = "held_out"


def seed_of(seed: int, purpose: str) -> int:
    """A 64-bit seed for one purpose, so that two uses of the recipe's seed are independent."""
    return xxhash.xxh3_64_intdigest(f"{seed}\0{purpose}".encode())


def draws(ids: pa.Array | pa.ChunkedArray | Sequence[str], seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """One uniform 64-bit draw per id, uint64[n]: XXH3 of the id under a seed of this purpose."""
    derived = seed_of(seed, purpose)
    texts = ids.to_pylist() if isinstance(ids, (pa.Array, pa.ChunkedArray)) else ids
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(text.encode(), seed=derived) for text in texts), np.uint64, len(texts)
    )


def is_held_out(
    ids: pa.Array | pa.ChunkedArray | Sequence[str], seed: int, share: float
) -> npt.NDArray[np.bool_]:
    """Which documents nothing is learnt from, so that what was learnt can be judged on them: bool[n].

    Those whose draw lies in the lowest `share` (0 to 1) of the range, so a larger share holds out the same
    documents and more. By id and seed alone: the tokenizer and the model leave out the same ones, and every
    copy of a document goes the same way.
    """
    below = int(Fraction(share) * 2**64)
    if below >= 2**64:
        return np.ones(len(ids), np.bool_)
    if below == 0:
        return np.zeros(len(ids), np.bool_)
    return np.asarray(draws(ids, seed, HELD_OUT) < np.uint64(below))


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator (Philox) for one purpose."""
    return np.random.Generator(np.random.Philox(key=seed_of(seed, purpose)))
