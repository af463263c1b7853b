"""What rows are on their way between ranks: as they are, BF16, or E4M3 with power-of-two scales.

Section 3.3.3 of the report: the input of experts is dispatched in FP8, and so is the gradient of their
output; what experts give is combined in BF16, forward and backward. Rows are quantised alone in 1 x 128
tiles, so quantising before the exchange or after it gives the same numbers. A row in FP8 is bytes, since gloo
refuses float8 tensors: D codes, then the FP32 scales of its tiles. M rows, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from corpusmill.training_hooks.precision.exchange import combine_payload, dispatch_payload, received

Format = Literal["same", "bf16", "fp8"]


@dataclass(frozen=True)
class Wire:
    """The formats of both directions. `dispatch`: rows to experts, and in backward the gradients of what they
    gave. `combine`: what experts gave, and in backward the gradients of their rows. `same`: the type that the
    layer computes in."""

    dispatch: Literal["same", "fp8"] = "same"
    combine: Literal["same", "bf16"] = "same"


AS_THEY_ARE = Wire()
LOW = Wire("fp8", "bf16")  # the report's


def pack(rows_MD: Tensor, format: Format) -> Tensor:
    """What is sent for the rows, one row each: uint8[M, D + 4 ceil(D / 128)] in FP8, else [M, D]."""
    if format == "fp8":
        codes, scales = dispatch_payload(rows_MD)
        return torch.cat((codes, scales.contiguous().view(torch.uint8)), dim=1)
    return combine_payload(rows_MD) if format == "bf16" else rows_MD


def unpack(payload: Tensor, format: Format, width: int, dtype: torch.dtype) -> Tensor:
    """The rows [M, D] of `pack` in `dtype`. E4M3 with power-of-two scales is exact in BF16 too."""
    if format == "fp8":
        scales = payload[:, width:].contiguous().view(torch.float32)
        return received(payload[:, :width].contiguous(), scales).dequantise().to(dtype)
    return payload.to(dtype)
