"""The precisions a model trains in, and the layers each one replaces.

| mode | linear layers and experts | attention, residual stream, norms, router, head's softmax |
|---|---|---|
| fp32 | FP32 | FP32 |
| bf16 | BF16 by autocast | attention BF16, the rest FP32; output head's products BF16 |
| fp8 | FP8 (E4M3), outputs BF16 | as bf16; embedding and output head too (section 3.3.1) |

Weights and their gradients are FP32 in every mode. BF16 products on a processor without BF16 instructions are
FP32 products of BF16 values, rounded (`model.products`).
"""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import nn

from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.moe import Experts
from corpusmill.training_hooks.model.products import bf16_products
from corpusmill.training_hooks.precision.hopper import require_hopper
from corpusmill.training_hooks.precision.linear import AFTER_ATTENTION, Cached, Engine, Fp8, Fp8Linear
from corpusmill.training_hooks.precision.swiglu import Fp8Experts, Fp8FeedForward

Mode = Literal["fp32", "bf16", "fp8"]
MODES: tuple[Mode, ...] = ("fp32", "bf16", "fp8")
IN_HIGHER_PRECISION = ("lm_head",)

log = logging.getLogger("corpusmill.train")


def apply(
    model: nn.Module, mode: Mode, *, engine: Engine | None = None, accumulate_bits: int | None = None
) -> list[str]:
    """Make `model` run in `mode`, in place; the names of the layers that run in FP8.

    Parameters, their names and the state dict stay as they are. Call it once, after the weights have come
    to their device, and run the model within `autocast(mode, ...)`.

    `engine` of FP8 products: `hopper` for tensor cores, `emulated` for the CPU or any GPU. Null takes tensor
    cores where the weights are on a GPU and emulation on the CPU, and the log says which. Raises UserError
    where the tensor cores asked for are not there: emulation on a GPU must be asked for. `accumulate_bits`
    (emulated only): see `product`.
    """
    if mode not in MODES:
        raise ValueError(f"no precision {mode!r}; there are {', '.join(MODES)}")
    device = next(model.parameters()).device
    if mode != "fp32" and device.type == "cpu" and bf16_products() == "fp32":
        log.info("BF16 products: in FP32 and rounded, since this processor has none of its own")
    if mode != "fp8":
        return []
    chosen: Engine = engine or ("hopper" if device.type == "cuda" else "emulated")
    if chosen == "hopper":
        require_hopper(device)
        if accumulate_bits is not None:
            raise ValueError("accumulate_bits is an option of the emulated engine")
    replaced = _replace(model, Fp8(chosen, accumulate_bits))
    log.info("FP8 products of %d layers: %s", len(replaced), chosen)
    return replaced


def _replace(model: nn.Module, fp8: Fp8) -> list[str]:
    replaced: list[str] = []
    # Parents come before their children, so that what a replaced layer holds is not replaced again.
    for name, module in list(model.named_modules()):
        if name in IN_HIGHER_PRECISION or any(name.startswith(f"{done}.") for done in replaced):
            continue
        parent_name, _, child = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        layer = _in_fp8(module, parent, child, fp8)
        if layer is not None:
            setattr(parent, child, layer)
            replaced.append(name)
    return replaced


def _in_fp8(module: nn.Module, parent: nn.Module, child: str, fp8: Fp8) -> nn.Module | None:
    if isinstance(module, Fp8Linear | Fp8FeedForward | Fp8Experts):
        raise ValueError("the model runs in FP8 already")
    if isinstance(module, FeedForward):
        return Fp8FeedForward(module, fp8)
    if isinstance(module, Experts):
        if type(module) is not Experts:
            raise ValueError(f"{type(module).__name__}: apply the precision before experts are spread")
        return Fp8Experts(module, fp8)
    if isinstance(module, nn.Linear):
        after_attention = isinstance(parent, MultiHeadLatentAttention) and child == "o_proj"
        return Fp8Linear(module, fp8, AFTER_ATTENTION if after_attention else Cached())
    return None


def autocast(mode: Mode, device_type: str) -> torch.autocast:
    """The context in which a model in `mode` runs its forward pass."""
    return torch.autocast(device_type, dtype=torch.bfloat16, enabled=mode != "fp32")
