"""The draws of `contract.randomness` for a column of ids, read in place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.randomness import draws, seed_of
from corpusmill.tokenizer.kernels.id_draws import ID_BYTES, id_draws


def document_draws(ids: pa.Array, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """`draws(ids, seed, purpose)`, uint64[n], of a string array; by a kernel where every id has 32 bytes."""
    n = len(ids)
    if n == 0 or not pa.types.is_string(ids.type) or ids.null_count:
        return draws(ids, seed, purpose)
    _, starts, data = ids.buffers()
    offsets = np.frombuffer(starts, np.int32)[ids.offset : ids.offset + n + 1]
    if (np.diff(offsets) != ID_BYTES).any():
        return draws(ids, seed, purpose)
    found: npt.NDArray[np.uint64] = id_draws(
        offsets, np.frombuffer(data, np.uint8), np.uint64(seed_of(seed, purpose))
    )
    return found
