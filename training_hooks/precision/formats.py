"""The two number formats of the report's FP8 framework: E4M3 and E5M6.

E4M3 (`torch.float8_e4m3fn`; Micikevicius et al. 2022): 1 sign, 4 exponent and 3 mantissa bits, bias 7, no
infinities, NaN at 0x7f and 0xff, largest 448, smallest normal 2^-6, smallest subnormal 2^-9.

E5M6 (section 3.3.3 names it and no more; the layout is ours): 12 bits `s eeeee mmmmmm` from bit 11 to bit 0,
bias 15, subnormals, exponent 31 kept for infinity and NaN as in IEEE 754. Largest 65024 = (2 - 2^-6) 2^15,
smallest normal 2^-14, smallest subnormal 2^-20. The codes are the upper 12 bits of FP16's 16, so FP16 holds
every E5M6 number. Two codes are packed in three bytes: the memory is that of 12 bits, and no hardware reads
it.

Both round to nearest, ties to even, and saturate. Not-a-number is preserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Format:
    """A number format: its name and its largest finite number, which a tile's amax is scaled to."""

    name: str
    largest: float


E4M3 = Format("e4m3", 448.0)
E5M6 = Format("e5m6", 65024.0)


def to_e4m3(x: Tensor) -> Tensor:
    """FP32 to `torch.float8_e4m3fn`, same shape."""
    return x.clamp(-E4M3.largest, E4M3.largest).to(torch.float8_e4m3fn)


def from_e4m3(x: Tensor) -> Tensor:
    """`torch.float8_e4m3fn` to FP32, exactly; same shape."""
    if x.device.type != "cpu":
        return x.float()
    # A look-up by byte is seven times faster than the CPU conversion of torch 2.13.
    codes: NDArray[Any] = x.contiguous().view(torch.uint8).numpy()
    return torch.from_numpy(_e4m3_numbers().take(codes))


@cache
def _e4m3_numbers() -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = (
        torch.arange(256, dtype=torch.int16).to(torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    )
    return numbers


def round_e5m6(x: Tensor) -> Tensor:
    """The E5M6 number nearest to each FP32 number, as FP32."""
    bits = x.contiguous().view(torch.int32)
    # Keep 6 of 23 mantissa bits: add just under half a unit, one more where the kept part is odd, and cut.
    odd = (bits >> 17) & 1
    normal = ((bits + 0xFFFF + odd) & ~0x1FFFF).view(torch.float32)
    subnormal = (x * 2.0**20).round() * 2.0**-20
    rounded = torch.where(x.abs() < 2.0**-14, subnormal, normal)
    # A NaN whose mantissa sits in the low bits would be cut to an infinity, hence the last choice.
    return torch.where(x.isnan(), x, rounded.clamp(-E5M6.largest, E5M6.largest))


def to_e5m6(x: Tensor) -> Tensor:
    """FP32 to packed E5M6: uint8[ceil(3 * numel / 2)], elements in row-major order.

    Of a pair (a, b): byte 0 is bits 7..0 of a, byte 1 is bits 3..0 of b above bits 11..8 of a, byte 2 is
    bits 11..4 of b. An odd last element is paired with zero and its third byte left out.
    """
    codes = (round_e5m6(x).half().view(torch.int16).flatten().to(torch.int32) & 0xFFFF) >> 4
    if codes.numel() % 2:
        codes = torch.cat((codes, codes.new_zeros(1)))
    a, b = codes.view(-1, 2).unbind(1)
    packed = torch.stack((a & 0xFF, (a >> 8) | ((b & 0xF) << 4), b >> 4), dim=1)
    return packed.to(torch.uint8).flatten()[: (3 * x.numel() + 1) // 2]


def from_e5m6(packed: Tensor, shape: torch.Size) -> Tensor:
    """Packed E5M6 to FP32 of `shape`, exactly."""
    count = shape.numel()
    whole = torch.cat((packed, packed.new_zeros(-packed.numel() % 3))).to(torch.int32).view(-1, 3)
    low, middle, high = whole.unbind(1)
    codes = torch.stack((low | ((middle & 0xF) << 8), (middle >> 4) | (high << 4)), dim=1)
    signed = (codes << 4).flatten()[:count]
    return signed.to(torch.int16).view(torch.float16).float().view(shape)
