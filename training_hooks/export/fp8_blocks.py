"""FP8 weights of the released files: E4M3 with one FP32 scale a block of 128 x 128.

A weight `<name>.weight` [rows, columns] of type F8_E4M3 lies beside `<name>.weight_scale_inv`
[ceil(rows / 128), ceil(columns / 128)]: the weight is what is stored times its block's scale, as
`weight_dequant` of the released inference code has it. Blocks at the right and lower edge may be smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError

SCALE = "_scale_inv"
STORED = "F8_E4M3"


def block_of(written: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of a block, from config.json's `quantization_config`; None where it has none.

    Raises ValueError for another way of quantising.
    """
    found = written.get("quantization_config")
    if found is None:
        return None
    if isinstance(found, dict) and found.get("quant_method") == "fp8" and found.get("fmt", "e4m3") == "e4m3":
        block = found.get("weight_block_size")
        if isinstance(block, list) and [type(size) for size in block] == [int, int] and min(block) > 0:
            return block[0], block[1]
    raise ValueError(
        "quantised weights of this kind cannot be read, only FP8 (e4m3) with a weight_block_size; "
        "convert them to BF16 or FP32 first"
    )


def split_scales(files: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of the weights by name, and of their scales by the weight's name.

    Raises DataError for scales of a weight that is not there.
    """
    scales = {name.removesuffix(SCALE): path for name, path in files.items() if name.endswith(SCALE)}
    weights = {name: path for name, path in files.items() if not name.endswith(SCALE)}
    if lone := sorted(scales.keys() - weights.keys()):
        raise DataError(f"{scales[lone[0]]}: {lone[0]}{SCALE} belongs to no weight")
    return weights, scales


def widen(
    stored: Tensor,
    name: str,
    block: tuple[int, int],
    scales: Mapping[str, Path],
    read: Callable[[Path, str], Tensor],
) -> Tensor:
    """The weights FP32[rows, columns] of what is stored E4M3, by the scales that `read` fetches.

    Raises DataError for a weight without scales, scales of another shape or type, and stored NaN.
    """
    if name not in scales:
        raise DataError(f"{name} has type {STORED} and no {name}{SCALE}: it cannot be read")
    scale, path = read(scales[name], f"{name}{SCALE}"), scales[name]
    tiles = [-(-size // side) for size, side in zip(stored.shape, block, strict=False)]
    if stored.ndim != 2 or list(scale.shape) != tiles or scale.dtype != torch.float32:
        raise DataError(
            f"{path}: {name}{SCALE} is {scale.dtype} of shape {list(scale.shape)}, "
            f"FP32 of shape {tiles} is asked for"
        )
    rows, columns = stored.shape
    spread = scale.repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)[:, :columns]
    weight = stored.to(torch.float32) * spread
    if not bool(weight.isfinite().all()):
        raise DataError(f"{path}: {name} holds what is no finite number")
    return weight
