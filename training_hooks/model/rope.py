"""Rotary position embedding (Su et al. 2021) of the decoupled part of queries and keys.

Neighbouring elements (2j, 2j + 1) form pair j, as in the released inference code; position t turns pair j by
t * frequency_j. Frequencies and angles are FP32, operation for operation those of the released code and of
transformers: at position 100,000 an FP32 angle is off by some thousandths of a radian, and a model is best
served with the angles that it was trained with. P = R / 2 pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corpusmill.training_hooks.model.yarn import YarnScaling


def rope_frequencies(rotary_width: int, theta: float, scaling: YarnScaling | None = None) -> Tensor:
    """Radians a position for each pair, FP32[P] on the CPU: theta^(-2j / R), with YaRN blended with
    theta^(-2j / R) / factor."""
    exponents_P = torch.arange(0, rotary_width, 2, dtype=torch.int64, device="cpu").float() / rotary_width
    period_P = theta**exponents_P
    plain_P = 1.0 / period_P
    if scaling is None:
        return plain_P
    first, last = scaling.ramp(rotary_width, theta)
    pair_P = torch.arange(rotary_width // 2, dtype=torch.float32, device="cpu")
    # A ramp of no length becomes a step, by the same thousandth of a pair as in the released code.
    slowed_P = torch.clamp((pair_P - first) / (last - first if last != first else 0.001), 0, 1)
    kept_P = 1 - slowed_P
    return 1.0 / (scaling.factor * period_P) * (1 - kept_P) + plain_P * kept_P


def rotation_table(
    frequencies_P: Tensor, positions_T: Tensor, rotary_factor: float = 1.0
) -> tuple[Tensor, Tensor]:
    """cos and sin of every angle, times `rotary_factor` (`YarnScaling.rotary_factor`), FP32[T, P] each."""
    angles_TP = positions_T.float()[:, None] * frequencies_P[None, :]
    return angles_TP.cos() * rotary_factor, angles_TP.sin() * rotary_factor


def rotate(x: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
    """Turn the pairs of `x` [..., T, R] by the angles of their positions; same shape and dtype.

    A pair as a complex number times cos + i sin: one pass where sums and products apart take six.
    """
    x_wide = x.float()
    # Complex numbers must lie at even places of the memory.
    if x_wide.storage_offset() % 2 or x_wide.stride(-1) != 1 or any(s % 2 for s in x_wide.stride()[:-1]):
        x_wide = x_wide.clone(memory_format=torch.contiguous_format)
    pairs = torch.view_as_complex(torch.unflatten(x_wide, -1, (-1, 2)))
    return torch.view_as_real(pairs * torch.complex(cos_TP, sin_TP)).flatten(-2).to(x.dtype)
