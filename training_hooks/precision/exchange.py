"""What travels between devices around the routed experts (section 3.3.3): dispatch in FP8, combine in BF16.

One device needs neither; these are the ends that a many-device dispatch joins. Float8 tensors are refused by
some collectives (gloo), so a dispatched row is bytes. Rows are quantised alone, in 1 x 128 tiles, so
quantising before the exchange or after it gives the same numbers.
N rows, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corpusmill.training_hooks.precision.quantise import ALONG_ROW, Quantised, quantise


def dispatch_payload(x_ND: Tensor) -> tuple[Tensor, Tensor]:
    """(codes uint8[N, D], scales FP32[N, ceil(D / 128)]) of rows in E4M3 with power-of-two scales."""
    q = quantise(x_ND, ALONG_ROW, power_of_two=True)
    return q.codes.view(torch.uint8), q.scales


def received(codes_ND: Tensor, scales: Tensor) -> Quantised:
    """The rows of `dispatch_payload`, ready as the left side of a product."""
    return Quantised(codes_ND.view(torch.float8_e4m3fn), scales, ALONG_ROW, codes_ND.shape)


def combine_payload(y_ND: Tensor) -> Tensor:
    """Rows of the experts' output as they are sent back: BF16[N, D]."""
    return y_ND.to(torch.bfloat16)
