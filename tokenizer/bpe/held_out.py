"""Documents that no tokenizer is trained on, so that it can be judged on text it has not seen."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.tokenizer.boundary.document_draws import document_draws

HELD_OUT = "tokenizer.held_out"


def is_held_out(ids: pa.Array, seed: int, share: float) -> npt.NDArray[np.bool_]:
    """Which documents, bool[n], are held out: those whose draw for this purpose falls in the lowest `share`.

    `ids` string[n]; `share` from 0 to 1. It depends on the id and the seed alone, and is independent of
    the draw by which the training sample is chosen.
    """
    below = int(Fraction(share) * 2**64)
    if below >= 2**64:
        return np.ones(len(ids), np.bool_)
    held: npt.NDArray[np.bool_] = document_draws(ids, seed, HELD_OUT) < np.uint64(below)
    return held
