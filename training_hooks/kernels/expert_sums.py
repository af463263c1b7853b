"""Sums over the experts of a token, and their gradient, in one pass over memory.

Each row is read where it lies, among those sorted by expert; torch's way gathers a copy of all of them,
multiplies another and sums it. Numbers are FP32; `_bf16` kernels take rows of BF16 as uint16 and widen them
as they are read. Every output element has its own fixed order of additions, so that results are the same
for any division of tokens into ranges.

N tokens, K experts a token, M = N * K rows, D width. `place_NK` int64 says where the rows of a token are: a
permutation of 0..M-1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, reassociated

Array = npt.NDArray[Any]


@compiled
def weighted_sum(
    rows_MD: Array, place_NK: Array, weight_NK: Array, out_ND: Array, start: int, stop: int
) -> None:
    """out[n] = sum over k of weight[n, k] * rows[place[n, k]] for tokens start..stop-1."""
    width = out_ND.shape[1]
    for n in range(start, stop):
        out_D = out_ND[n]
        for d in range(width):
            out_D[d] = 0.0
        for k in range(place_NK.shape[1]):
            row_D, weight = rows_MD[place_NK[n, k]], weight_NK[n, k]
            for d in range(width):
                out_D[d] += weight * row_D[d]


@compiled
def weighted_sum_bf16(
    rows_MD: Array, place_NK: Array, weight_NK: Array, out_ND: Array, start: int, stop: int
) -> None:
    """As `weighted_sum`."""
    width = out_ND.shape[1]
    bits_D = np.empty(width, np.uint32)
    row_D = bits_D.view(np.float32)
    for n in range(start, stop):
        out_D = out_ND[n]
        for d in range(width):
            out_D[d] = 0.0
        for k in range(place_NK.shape[1]):
            _widen(rows_MD[place_NK[n, k]], bits_D)
            weight = weight_NK[n, k]
            for d in range(width):
                out_D[d] += weight * row_D[d]


@reassociated
def weighted_sum_gradient(
    grad_ND: Array,
    rows_MD: Array,
    place_NK: Array,
    weight_NK: Array,
    drows_MD: Array,
    dweight_NK: Array,
    start: int,
    stop: int,
) -> None:
    """drows[place[n, k]] = weight[n, k] * grad[n] and dweight[n, k] = grad[n] . rows[place[n, k]]."""
    width = grad_ND.shape[1]
    for n in range(start, stop):
        grad_D = grad_ND[n]
        for k in range(place_NK.shape[1]):
            place, weight = place_NK[n, k], weight_NK[n, k]
            row_D, drow_D = rows_MD[place], drows_MD[place]
            dot = np.float32(0.0)
            for d in range(width):
                dot += grad_D[d] * row_D[d]
                drow_D[d] = weight * grad_D[d]
            dweight_NK[n, k] = dot


@reassociated
def weighted_sum_gradient_bf16(
    grad_ND: Array,
    rows_MD: Array,
    place_NK: Array,
    weight_NK: Array,
    drows_MD: Array,
    dweight_NK: Array,
    start: int,
    stop: int,
) -> None:
    """As `weighted_sum_gradient`; drows are rounded to nearest, ties to even."""
    width = grad_ND.shape[1]
    bits_D = np.empty(width, np.uint32)
    row_D = bits_D.view(np.float32)
    for n in range(start, stop):
        grad_D = grad_ND[n]
        for k in range(place_NK.shape[1]):
            place, weight = place_NK[n, k], weight_NK[n, k]
            _widen(rows_MD[place], bits_D)
            dot = np.float32(0.0)
            for d in range(width):
                dot += grad_D[d] * row_D[d]
            dweight_NK[n, k] = dot
            for d in range(width):
                row_D[d] = weight * grad_D[d]
            _narrow(bits_D, drows_MD[place])


@compiled
def _widen(row_D: Array, bits_D: Array) -> None:
    """The bits of BF16 numbers as those of the same FP32 numbers."""
    for d in range(row_D.shape[0]):
        bits_D[d] = np.uint32(row_D[d]) << np.uint32(16)


@compiled
def _narrow(bits_D: Array, row_D: Array) -> None:
    """The bits of FP32 numbers rounded to BF16; a number that is none stays one."""
    for d in range(row_D.shape[0]):
        bits = bits_D[d]
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        row_D[d] = np.uint16(0x7FC0) if nan else np.uint16(rounded)
