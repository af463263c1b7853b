"""Rows from chains of documents: cutting, placement, filling, and the shuffle of rows.

Legend: d documents, k chains, c chunks, p pieces, R rows, L sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.randomness import generator
from corpusmill.tokenizer.kernels.best_fit import best_fit_decreasing
from corpusmill.tokenizer.kernels.fill_rows import fill_rows
from corpusmill.tokenizer.kernels.greedy import greedy

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PackedRows:
    """`tokens` [R, L] and `pieces` int64[p, 5]: (row, start, length, document, offset), by row and start."""

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    pieces: Ints

    def ends(self) -> npt.NDArray[np.int32]:
        """int32[R + 1]: pieces of row r are `pieces[ends[r]:ends[r + 1]]`."""
        ends = np.zeros(len(self.tokens) + 1, np.int32)
        np.cumsum(np.bincount(self.pieces[:, 0], minlength=len(self.tokens)), out=ends[1:])
        return ends


def pack_rows(
    start_d: Ints,
    length_d: Ints,
    first_k: Ints,
    values: npt.NDArray[np.unsignedinteger[Any]],
    sequence_length: int,
    pad: int,
    seed: int,
    partition: int = 0,
    *,
    in_order: bool = False,
) -> PackedRows:
    """Pack chains of documents into rows.

    A chain longer than a row is cut into full rows and a rest. Rests and whole chains are placed longest
    first, each in the fullest row it fits, or `in_order` each behind the one before it if that row has room.
    Document d is `values[start_d[d]:start_d[d] + length_d[d]]`, chain k is documents
    `first_k[k]:first_k[k + 1]`. `seed` and `partition` give the order of rows.
    """
    ends_d = np.concatenate([[0], np.cumsum(length_d)])
    length_k = ends_d[first_k[1:]] - ends_d[first_k[:-1]]
    full_k, rest_k = np.divmod(length_k, sequence_length)
    chunks_k = full_k + (rest_k > 0)
    chain_c = np.repeat(np.arange(len(length_k)), chunks_k)
    length_c = np.full(len(chain_c), sequence_length, np.int64)
    last_c = np.cumsum(chunks_k)[rest_k > 0] - 1
    length_c[last_c] = rest_k[rest_k > 0]
    if in_order:
        row_c, at_c, rows = greedy(length_c, sequence_length)
    else:
        whole_c = np.ones(len(chain_c), np.bool_)
        whole_c[last_c] = False
        row_c, at_c = np.zeros(len(chain_c), np.int64), np.zeros(len(chain_c), np.int64)
        full = int(whole_c.sum())
        row_c[whole_c] = np.arange(full)
        placed, at_c[last_c], opened = best_fit_decreasing(length_c[last_c], sequence_length)
        row_c[last_c] = placed + full
        rows = full + opened
    row_c = generator(seed, f"pack.rows.{partition}").permutation(rows)[row_c]
    tokens_RL = np.full((rows, sequence_length), pad, values.dtype)
    pieces = fill_rows(start_d, length_d, first_k, chain_c, length_c, row_c, at_c, values, tokens_RL)
    return PackedRows(tokens_RL, pieces[np.lexsort((pieces[:, 1], pieces[:, 0]))])
