"""The shingle sets that held-out documents are compared by: those of `minhash`, word 5-grams, folded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.signatures import sketch
from corpusmill.dedup.matching.normal_forms import normal_forms

WIDTH = 5


def shingle_sets(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Sorted distinct shingles of n texts: `values[ends[i]:ends[i + 1]]`. A text of fewer than five words has
    one, of its bytes without white space."""
    ends, values, _, _ = sketch(
        offsets, data, normal_forms(True), False, True, WIDTH, True, np.zeros(0, np.uint32), 1
    )
    return ends, values
