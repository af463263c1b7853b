"""The device a model trains on."""

from __future__ import annotations

from typing import Literal

import torch

from corpusmill.pipelines.contract.errors import UserError


def require_device(name: Literal["cpu", "cuda"]) -> torch.device:
    """The device `name`. Raises UserError where there is no GPU that torch can use."""
    if name == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda or "no"
        raise UserError(
            f"train: device is cuda, but torch {torch.__version__} (built for {built} CUDA) finds no GPU it "
            "can use; write `device: cpu`, or install a build of torch for this GPU"
        )
    return torch.device(name)
