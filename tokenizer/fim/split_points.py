"""Split points of fill-in-the-middle: which documents, and where, from the seed and their ids alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.tokenizer.boundary.document_draws import document_draws
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.kernels.fim_parts import fim_parts

Offsets = npt.NDArray[np.int64]


def chosen_for_fim(ids: pa.Array, domains: pa.Array, fim: Fim, seed: int) -> npt.NDArray[np.bool_]:
    """bool[n]: the documents to frame. A document's draw must lie below `rate` * 2**64."""
    n = len(ids)
    if fim.rate == 0.0 or n == 0:
        return np.zeros(n, np.bool_)
    chosen = np.ones(n, np.bool_)
    if fim.rate < 1.0:
        chosen = document_draws(ids, seed, "fim") < np.uint64(fim.rate * 2.0**64)
    if fim.domains is not None:
        chosen &= np.isin(np.asarray(domains.to_pylist(), object), fim.domains)
    return chosen


def split_parts(
    offsets: Offsets, data: npt.NDArray[np.uint8], ids: pa.Array, chosen: npt.NDArray[np.bool_], seed: int
) -> Offsets:
    """Boundaries int64[parts + 1] into `data`: one part a document; prefix, middle, suffix where chosen.

    Parts follow one another in `data` as the documents do (PSM is an order of the framed tokens, not of
    the parts), so encoding them needs no copy of the text.
    """
    n = len(offsets) - 1
    first, second = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    which = np.flatnonzero(chosen)
    if len(which):
        names = ids.take(pa.array(which))
        first[which] = document_draws(names, seed, "fim.first")
        second[which] = document_draws(names, seed, "fim.second")
    return np.asarray(fim_parts(offsets, data, chosen, first, second))
