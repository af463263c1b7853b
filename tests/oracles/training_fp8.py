"""Small floating-point formats and tiles with loops: every number of a format listed, the nearest one found.

Exact arithmetic (fractions) decides what is nearest; FP32 appears only where the definition names it.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


def numbers(exponent_bits: int, mantissa_bits: int, codes: int) -> list[Fraction]:
    """The values of codes 0..codes-1 (sign bit clear), ascending, from the definition of the bit fields."""
    bias = 2 ** (exponent_bits - 1) - 1
    values = []
    for code in range(codes):
        exponent, mantissa = divmod(code, 2**mantissa_bits)
        fraction = Fraction(mantissa, 2**mantissa_bits)
        if exponent == 0:
            values.append(fraction * Fraction(2) ** (1 - bias))
        else:
            values.append((1 + fraction) * Fraction(2) ** (exponent - bias))
    return values


# 0x7f is E4M3's NaN; E5M6 keeps exponent 31.
E4M3 = numbers(4, 3, 0x7F)
E5M6 = numbers(5, 6, 31 * 64)


def nearest_code(x: float, values: list[Fraction]) -> int:
    """Code of the nearest number to |x|, the even code of two equally near, the last beyond the end."""
    magnitude = abs(Fraction(x))
    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if values[middle] <= magnitude else (low, middle)
    below, above = magnitude - values[low], values[high] - magnitude
    if below == above:
        return low if low % 2 == 0 else high
    return low if below < above else high


def rounded(x: float, values: list[Fraction]) -> float:
    """`x` rounded to the format, its sign kept on zero."""
    return math.copysign(float(values[nearest_code(x, values)]), x)


def scale(amax: float, largest: float, power_of_two: bool) -> np.float32:
    """amax / largest in FP32, at least 2^-126, or the least power of two that is not below it."""
    plain = max(np.float32(amax) / np.float32(largest), np.float32(2.0**-126))
    if not power_of_two:
        return np.float32(plain)
    exponent = -126
    while Fraction(2) ** exponent < Fraction(float(plain)):
        exponent += 1
    return np.float32(2.0**exponent)


def quantised(
    x: F32, tile: tuple[int, int], values: list[Fraction], power_of_two: bool = False
) -> tuple[F32, F32]:
    """(values on the format's grid [R, C], scales): tile by tile, number by number."""
    rows, columns = tile
    down, across = math.ceil(x.shape[0] / rows), math.ceil(x.shape[1] / columns)
    grid, scales = np.zeros_like(x), np.zeros((down, across), np.float32)
    for i in range(down):
        for j in range(across):
            part = x[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            amax = max(abs(float(v)) for v in part.ravel())
            scales[i, j] = scale(amax, float(values[-1]), power_of_two)
            for r in range(part.shape[0]):
                for c in range(part.shape[1]):
                    ratio = float(np.float32(part[r, c]) / scales[i, j])
                    grid[i * rows + r, j * columns + c] = rounded(ratio, values)
    return grid, scales


def product(a: F32, scale_a: F32, b: F32, scale_b: F32, rows_b: int) -> npt.NDArray[np.float64]:
    """Sum over k of a[m, k] b[n, k] with their tiles' scales, in FP64; `rows_b` rows to a tile of b."""
    y = np.zeros((a.shape[0], b.shape[0]))
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            for k in range(a.shape[1]):
                left = float(a[m, k]) * float(scale_a[m, k // 128])
                y[m, n] += left * float(b[n, k]) * float(scale_b[n // rows_b, k // 128])
    return y
