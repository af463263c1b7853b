"""AdamW as in section 4.2 (betas 0.9 and 0.95, weight decay 0.1), and its state by parameters' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.training_hooks.trainer.adamw import AdamW


def adamw(
    model: nn.Module, *, moments: torch.dtype = torch.float32, weight_decay: float = 0.1
) -> torch.optim.Optimizer:
    """AdamW over all parameters; matrices decay, norm weights (vectors) do not (the report is silent on
    this). The rate of every step comes from `Schedule`."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, moments=moments)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def _numbered(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[int, str]:
    """Name of every parameter by its number in the optimiser's state."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    return {number: names[id(parameter)] for number, parameter in enumerate(parameters)}


def optimiser_state(
    model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """(tensors named `<moment>.<parameter>`, steps taken by every parameter). Parameters that never had a
    gradient have neither."""
    numbered = _numbered(model, optimiser)
    tensors: dict[str, Tensor] = {}
    steps: dict[str, int] = {}
    for number, held in optimiser.state_dict()["state"].items():
        for key, value in held.items():
            if key == "step":
                steps[numbered[number]] = int(value)
            else:
                tensors[f"{key}.{numbered[number]}"] = value
    return tensors, steps


def load_optimiser_state(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    steps: Mapping[str, int],
) -> None:
    """Take up what `optimiser_state` gave. Raises IntegrityError where it is of other parameters."""
    numbered = _numbered(model, optimiser)
    if strange := sorted(set(steps) - set(numbered.values())):
        raise IntegrityError(f"the optimiser's state is of another model: it has {strange[0]}")
    by_name: dict[str, dict[str, Any]] = {name: {"step": step} for name, step in steps.items()}
    for key, tensor in tensors.items():
        moment, _, name = key.partition(".")
        if name not in by_name:
            raise IntegrityError(f"the optimiser's state holds {key} but no step of {name}")
        by_name[name][moment] = tensor
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name, held in by_name.items():
        for moment, tensor in held.items():
            if isinstance(tensor, Tensor) and tensor.shape != shapes[name]:
                raise IntegrityError(f"the optimiser's {moment} of {name} has shape {tuple(tensor.shape)}")
    state = optimiser.state_dict()
    state["state"] = {number: by_name[name] for number, name in numbered.items() if name in by_name}
    optimiser.load_state_dict(state)
