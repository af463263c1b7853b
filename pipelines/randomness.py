"""Randomness from the recipe's seed and content-stable ids, never from order, workers or time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash


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


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator (Philox) for one purpose."""
    return np.random.Generator(np.random.Philox(key=seed_of(seed, purpose)))
