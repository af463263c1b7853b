"""The permutation of `loading.permutation` in numpy, whole arrays at a time: an oracle for its kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.mixing import mixed


def permuted(
    positions: npt.NDArray[np.int64], n: int, half: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """A balanced Feistel network on 2 * `half` bits, walked until a value below `n` comes."""
    values = _network(positions.astype(np.uint64), half, keys)
    outside = np.flatnonzero(values >= n)
    while outside.size:
        values[outside] = _network(values[outside], half, keys)
        outside = outside[values[outside] >= n]
    return values.astype(np.int64)


def _network(
    values: npt.NDArray[np.uint64], half: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        left, right = right, left ^ (mixed(right ^ key) & mask)
    return (left << bits) | right
