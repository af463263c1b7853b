"""The same products on Hopper's FP8 tensor cores, through `torch.nn.functional.scaled_mm`.

Needs a GPU of compute capability 9.0 and a build of torch with CUDA 12.9 or later, whose cuBLASLt scales by
1 x 128 tiles and 128 x 128 blocks and adds slices of 128 up in FP32. Sizes are filled up with zeros to what
the library takes (K to 128, rows to 16) and to whole blocks, which is what torch's checks of shapes expect:
zeros add nothing, and no scale is computed here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.precision.product import check_operands
from corpusmill.training_hooks.precision.quantise import TILE, Quantised

ROWS = 16


def why_not_hopper(device: torch.device) -> str | None:
    """What `device` or this build of torch lacks for `hopper_product`; None where nothing."""
    if device.type != "cuda":
        return f"the weights are on {device.type}, not on a GPU"
    capability = torch.cuda.get_device_capability(device)
    if torch.version.hip is not None or capability != (9, 0):
        return f"{torch.cuda.get_device_name(device)} is not a Hopper GPU"
    built = torch.version.cuda or "0.0"
    if tuple(int(part) for part in built.split(".")[:2]) < (12, 9):
        return f"torch was built with CUDA {built}; products in tiles need 12.9"
    return None


def require_hopper(device: torch.device) -> None:
    """Raises UserError saying what is missing."""
    why = why_not_hopper(device)
    if why is not None:
        raise UserError(f"FP8 on tensor cores cannot run here: {why}; ask for the emulated engine instead")


def hopper_product(a: Quantised, b: Quantised) -> Tensor:
    """a [M, K] times b [N, K] transposed, FP32 [M, N]; operands as in `emulated_product`.

    One side at least must have tiles 1 high; raises ValueError otherwise.
    """
    check_operands(a, b)
    if a.tile[0] == b.tile[0] == TILE:
        raise ValueError("one side of a product must have tiles one row high")
    product: Tensor = functional.scaled_mm(
        _codes(a),
        _codes(b).t(),
        _scales(a),
        _recipe(a),
        _scales(b),
        _recipe(b),
        output_dtype=torch.float32,
        use_fast_accum=False,
    )
    return product[: a.shape[0], : b.shape[0]]


def _recipe(q: Quantised) -> functional.ScalingType:
    kinds = functional.ScalingType
    return kinds.BlockWise1x128 if q.tile[0] == 1 else kinds.BlockWise128x128


def _codes(q: Quantised) -> Tensor:
    """Codes, contiguous along K, filled up with zeros. Padding moves bytes: float8 knows few operations."""
    fill = (0, -q.shape[1] % TILE, 0, -q.shape[0] % max(q.tile[0], ROWS))
    return functional.pad(q.codes.contiguous().view(torch.uint8), fill).view(torch.float8_e4m3fn)


def _scales(q: Quantised) -> Tensor:
    """In the layout the library reads: 1 x 128 tiles [rows, K / 128] and 128 x 128 blocks
    [K / 128 up to a multiple of 4, rows / 128], both with the first axis contiguous."""
    if q.tile[0] == 1:
        filled = functional.pad(q.scales, (0, 0, 0, -q.shape[0] % ROWS), value=1.0)
    else:
        filled = functional.pad(q.scales.t(), (0, 0, 0, -q.scales.shape[1] % 4), value=1.0)
    return filled.t().contiguous().t()
