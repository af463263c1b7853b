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


def device_of_rank(local: int | None, beside: int, devices: int) -> torch.device:
    """The GPU of a rank that is number `local` of the `beside` ranks on its machine and sees `devices` GPUs.

    Whoever started the ranks may show each its own GPU alone, as Slurm does, or by CUDA_VISIBLE_DEVICES: a
    rank that sees one takes it, and that no other has the same is found where ranks meet
    (`group.require_own_gpu`). Raises UserError where a rank would have none of its own or its number is
    unknown or wrong."""
    if devices == 1:
        return torch.device("cuda", 0)
    if local is None:
        raise UserError(
            "train: whoever started the ranks did not set LOCAL_RANK and LOCAL_WORLD_SIZE, by which a rank "
            f"finds its GPU among the {devices} that it sees: set them, as torchrun does, or show each rank "
            "one GPU in CUDA_VISIBLE_DEVICES"
        )
    if not 0 <= local < beside:
        raise UserError(
            f"train: LOCAL_RANK={local} with LOCAL_WORLD_SIZE={beside}: the ranks on a machine count from 0, "
            "by which each finds its GPU: set them as torchrun does"
        )
    if beside > devices:
        raise UserError(
            f"train: {beside} ranks on a machine where torch can use {devices} GPUs; each needs one of its "
            f"own: start at most {devices} ranks there, show each rank its own GPU alone in "
            "CUDA_VISIBLE_DEVICES, or write `device: cpu`"
        )
    return torch.device("cuda", local)


def identity(device: torch.device) -> str:
    """What tells a GPU from all others, whatever number a process gives it."""
    return str(torch.cuda.get_device_properties(device).uuid)
