"""Products of quantised matrices: FP32 sums of 128 terms, scaled and added up in FP32 (section 3.3.2).

y[m, n] = sum over slices s of 128 along K of (sum over k in s of a[m, k] b[n, k]) * (scale_a * scale_b)

The emulation runs anywhere. Products of two E4M3 numbers are exact in FP32; the inner sum of a slice is FP32
in the order of the processor's matrix product; slices are added in order. Hopper's tensor cores keep only
about 14 bits while they add up one instruction's terms (section 3.3.2): that is left out unless
`accumulate_bits` asks for it, and then approximated: after every 32 terms (the K of one FP8 instruction) the
slice's running sum is cut, towards zero, to that many significant bits. How the terms inside an instruction
are aligned before they are added is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from corpusmill.training_hooks.precision.formats import E4M3
from corpusmill.training_hooks.precision.quantise import TILE, Quantised

Product = Callable[[Quantised, Quantised], Tensor]
INSTRUCTION_K = 32


def emulated_product(a: Quantised, b: Quantised, accumulate_bits: int | None = None) -> Tensor:
    """a [M, K] times b [N, K] transposed: FP32 [M, N].

    Tiles of both are 128 long along K and 1 or 128 high. Raises ValueError for any other operands.
    """
    check_operands(a, b)
    a_MK, b_NK = a.grid, b.grid
    scale_a_MS, scale_b_NS = row_scales(a), row_scales(b)
    y_MN = a_MK.new_zeros(a_MK.shape[0], b_NK.shape[0])
    with torch.autocast(a_MK.device.type, enabled=False):
        for index in range(scale_a_MS.shape[1]):
            k = slice(TILE * index, TILE * (index + 1))
            sum_MN = _slice_product(a_MK[:, k], b_NK[:, k], accumulate_bits)
            y_MN.addcmul_(sum_MN, torch.outer(scale_a_MS[:, index], scale_b_NS[:, index]))
    return y_MN


def check_operands(a: Quantised, b: Quantised) -> None:
    """Raises ValueError unless both are E4M3 matrices tiled along a common K."""
    for side in (a, b):
        fits = side.format is E4M3 and len(side.shape) == 2 and side.tile in ((1, TILE), (TILE, TILE))
        if not fits:
            raise ValueError(f"no operand: {side.format.name} {tuple(side.shape)} in tiles {side.tile}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{tuple(a.shape)} and {tuple(b.shape)} share no K")


def row_scales(q: Quantised) -> Tensor:
    """Scales FP32 [R, K / 128], one row for every row of the matrix."""
    return q.scales if q.tile[0] == 1 else q.scales.repeat_interleave(TILE, 0)[: q.shape[0]]


def _slice_product(a_MK: Tensor, b_NK: Tensor, accumulate_bits: int | None) -> Tensor:
    if accumulate_bits is None:
        return torch.mm(a_MK, b_NK.t())
    sum_MN = a_MK.new_zeros(a_MK.shape[0], b_NK.shape[0])
    for start in range(0, a_MK.shape[1], INSTRUCTION_K):
        k = slice(start, start + INSTRUCTION_K)
        sum_MN = cut(torch.addmm(sum_MN, a_MK[:, k], b_NK[:, k].t()), accumulate_bits)
    return sum_MN


def cut(x: Tensor, bits: int) -> Tensor:
    """FP32 `x` cut towards zero to `bits` significant bits (1..24)."""
    if not 1 <= bits <= 24:
        raise ValueError(f"FP32 has 24 significant bits, not {bits}")
    return (x.view(torch.int32) & -(1 << (24 - bits))).view(torch.float32)
