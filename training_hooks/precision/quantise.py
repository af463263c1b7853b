"""Tiles that share a scale, chosen online from their largest magnitude (section 3.3.2 and 3.3.3).

Activations and their gradients: 1 x 128 along the axis that a product sums, which is 128 x 1 of the matrix as
it lies when the product sums over tokens. Weights: 128 x 128. At the edges of a matrix whose sizes are not
multiples of 128 tiles are smaller; no other number enters their amax.

scale = amax / largest of the format (448 for E4M3, as in the released kernels). Here a scale is at least
2^-126, the smallest normal FP32 number, so that a tile of zeros, or of numbers far below anything training
meets, divides well; the released kernel divides zero by zero there. Power-of-two scales are rounded up.
A tile that holds a NaN or an infinity gets a scale that is not finite and reads back as NaN or infinity; so
may the largest 3% of FP32's range, which E4M3 can round up past its end.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.precision.formats import E4M3, Format, from_e4m3, from_e5m6, to_e4m3, to_e5m6

TILE = 128
ALONG_ROW = (1, TILE)
ALONG_COLUMN = (TILE, 1)
BLOCK = (TILE, TILE)
SMALLEST_SCALE = 2.0**-126


@dataclass(frozen=True)
class Quantised:
    """A matrix [R, C], or a stack of them, in tiles of `tile` = (rows, columns).

    `codes`: float8_e4m3fn of the matrix's shape, or packed E5M6 (uint8[bytes]). `scales` FP32
    [..., ceil(R / tile[0]), ceil(C / tile[1])]; a number is its code's value times its tile's scale.
    """

    codes: Tensor
    scales: Tensor
    tile: tuple[int, int]
    shape: torch.Size
    format: Format = E4M3

    @functools.cached_property
    def grid(self) -> Tensor:
        """The codes' values FP32 [..., R, C], before their scales. Computed once for this object."""
        return from_e4m3(self.codes) if self.format is E4M3 else from_e5m6(self.codes, self.shape)

    def dequantise(self) -> Tensor:
        """FP32 [..., R, C]."""
        rows, columns = self.tile
        tiles = _tiles(self.grid, rows, columns)
        return _matrix(tiles * self.scales[..., :, None, :, None], self.shape)

    def t(self) -> Quantised:
        """The transposed E4M3 matrices; no number changes. Packed E5M6 has no transpose."""
        if self.format is not E4M3:
            raise ValueError("only E4M3 matrices are transposed")
        return Quantised(
            self.codes.transpose(-1, -2),
            self.scales.transpose(-1, -2),
            (self.tile[1], self.tile[0]),
            torch.Size((*self.shape[:-2], self.shape[-1], self.shape[-2])),
        )

    def rows(self, rows: slice) -> Quantised:
        """Some rows of an E4M3 matrix whose tiles are one row high."""
        if self.tile[0] != 1:
            raise ValueError(f"tiles {self.tile} hold several rows")
        codes = self.codes[rows]
        return replace(self, codes=codes, scales=self.scales[rows], shape=codes.shape)

    def __getitem__(self, index: int | tuple[int, ...]) -> Quantised:
        """One matrix of a stack of E4M3 matrices."""
        codes = self.codes[index]
        return replace(self, codes=codes, scales=self.scales[index], shape=codes.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and scales."""
        return self.codes.nbytes + self.scales.nbytes


def quantise(
    x: Tensor, tile: tuple[int, int] = ALONG_ROW, format: Format = E4M3, *, power_of_two: bool = False
) -> Quantised:
    """`x` [..., R, C] in `tile`s; computed in FP32 whatever the type of `x`."""
    x = x.detach().float()
    tiles = _tiles(x, *tile)
    amax = tiles.abs().amax((-3, -1)) if x.numel() else tiles.new_zeros(*tiles.shape[:-3], tiles.shape[-2])
    scales = scales_of(amax, format, power_of_two=power_of_two)
    scaled = _matrix(tiles / scales[..., :, None, :, None], x.shape)
    codes = to_e4m3(scaled) if format is E4M3 else to_e5m6(scaled)
    return Quantised(codes, scales, tile, x.shape, format)


def scales_of(amax: Tensor, format: Format, *, power_of_two: bool = False) -> Tensor:
    """The scale of tiles whose largest magnitude is `amax` FP32 (>= 0)."""
    scales = (amax / format.largest).clamp(min=SMALLEST_SCALE)
    if not power_of_two:
        return scales
    # Round the exponent up where any mantissa bit is set: exact, unlike a logarithm.
    up = ((scales.view(torch.int32) + 0x7FFFFF) & 0x7F800000).view(torch.float32)
    return torch.where(scales.isfinite(), up, scales)


def _tiles(x: Tensor, rows: int, columns: int) -> Tensor:
    """[..., R, C] -> [..., R / rows, rows, C / columns, columns]; zeros, which raise no amax, fill edges."""
    missing_rows, missing_columns = -x.shape[-2] % rows, -x.shape[-1] % columns
    if missing_rows or missing_columns:
        x = functional.pad(x, (0, missing_columns, 0, missing_rows))
    down, across = x.shape[-2] // rows, x.shape[-1] // columns
    return x.reshape(*x.shape[:-2], down, rows, across, columns)


def _matrix(tiles: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_tiles`: [..., R, C] without what filled the edges."""
    whole = tiles.flatten(-2, -1).flatten(-3, -2)
    return whole[..., : shape[-2], : shape[-1]].contiguous()
