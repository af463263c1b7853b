"""Rotary position embedding (Su et al. 2021) of the decoupled part of queries and keys.

Neighbouring elements (2j, 2j + 1) form pair j, as in the released inference code; position t turns pair j by
t * frequency_j. Long-context scaling changes the frequencies only, so it enters through `frequencies`.
P = R / 2 pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rope_frequencies(rotary_width: int, theta: float) -> Tensor:
    """Radians a position for each pair, FP64[P]: theta^(-2j / R)."""
    exponents = torch.arange(0, rotary_width, 2, dtype=torch.float64) / rotary_width
    return theta**-exponents


def rotation_table(frequencies_P: Tensor, positions_T: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of every angle, FP32[T, P] each; angles are taken in FP64, for far positions."""
    angles_TP = positions_T.to(torch.float64)[:, None] * frequencies_P[None, :].to(torch.float64)
    return angles_TP.cos().float(), angles_TP.sin().float()


def rotate(x: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
    """Turn the pairs of `x` [..., T, R] by the angles of their positions; same shape and dtype."""
    even, odd = torch.unflatten(x.float(), -1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos_TP - odd * sin_TP, even * sin_TP + odd * cos_TP), dim=-1)
    return turned.flatten(-2).to(x.dtype)
