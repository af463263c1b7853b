"""AdamW (Loshchilov & Hutter 2019, algorithm 2) with moments in FP32 or BF16, weights and gradients in FP32.

    m = b1 m + (1 - b1) g              w = w - lr * decay * w
    v = b2 v + (1 - b2) g^2            w = w - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

All arithmetic is FP32 (FP64 for FP64 weights, which tests use). With BF16 moments (section 3.3.3) a step
reads both, computes with them in FP32, uses the results as they are and rounds them to nearest when they are
put away: 4 bytes of state a weight in place of 8. How the report's optimiser rounds is not stated. BF16
resolves one part in 2^8: v decays by 1 - b2 of itself a step at most, so b2 = 0.95 moves it and b2 = 0.999
(about 2^-10) would leave it standing where it is.

FP32 weights with FP32 moments go through torch's fused kernel of the same update. The other kinds go through
blocks of weights that fit a core's cache, so that a step costs one reading and one writing of weights,
gradients and moments. Every element depends on its own history only: no result depends on threads.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BLOCK = 2**17


class AdamW(torch.optim.Optimizer):
    """Weights that are not FP32 (or FP64) get an FP32 master copy in the state and are rounded from it.

    State of a parameter: `step` (int), `exp_avg` and `exp_avg_sq` of its shape in `moments`, and `master`
    where there is one. `param_groups` hold `lr`, `betas`, `eps`, `weight_decay`. Raises ValueError for
    settings outside their range and RuntimeError for sparse gradients.
    """

    # torch's own, without what keeps its compiler out of them: that imports the compiler, which takes a
    # process two seconds, and nothing is compiled here.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    _load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        *,
        moments: torch.dtype = torch.float32,
    ) -> None:
        if lr < 0 or eps <= 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"lr {lr}, betas {betas}, eps {eps}, weight_decay {weight_decay}")
        if moments not in (torch.float32, torch.bfloat16):
            raise ValueError(f"moments are float32 or bfloat16, not {moments}")
        self.moments = moments
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            plain: list[tuple[Tensor, Tensor]] = []
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    self._start(parameter, state)
                state["step"] += 1
                gradient = _gradient(parameter)
                tensors = (parameter, gradient, state["exp_avg"])
                if all(t.dtype == torch.float32 and t.is_contiguous() for t in tensors):
                    plain.append((parameter, gradient))
                else:
                    self._update(parameter, group)
            if plain:
                self._update_fused(plain, group)
        return loss

    def _update_fused(self, plain: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        parameters, gradients = [p for p, _ in plain], [g for _, g in plain]
        states = [self.state[p] for p in parameters]
        # torch's function counts this step in itself.
        before = [
            torch.full((), s["step"] - 1.0, dtype=torch.float32, device=p.device)
            for s, p in zip(states, parameters, strict=True)
        ]
        adamw(
            parameters,
            gradients,
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            before,
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        weight = state.get("master", parameter)
        tensors = (weight, _gradient(parameter), state["exp_avg"], state["exp_avg_sq"])
        if all(t.is_contiguous() for t in tensors):
            flat = [t.view(-1) for t in tensors]
            # A GPU wants few large steps, a core small ones that stay in its cache.
            size = BLOCK if weight.device.type == "cpu" else max(weight.numel(), 1)
            for start in range(0, weight.numel(), size):
                w, g, m, v = (t[start : start + size] for t in flat)
                _update_block(w, g, m, v, state["step"], group)
        else:
            _update_block(*tensors, state["step"], group)
        if "master" in state:
            parameter.copy_(weight)

    def _start(self, parameter: Tensor, state: dict[str, Any]) -> None:
        state["step"] = 0
        dtype = torch.float64 if parameter.dtype == torch.float64 else self.moments
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.zeros_like(parameter, dtype=dtype)
        if parameter.dtype not in (torch.float32, torch.float64):
            state["master"] = parameter.detach().to(torch.float32, copy=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As of any optimiser, but every tensor keeps the type it was saved in: the base class would cast
        moments and master weights to the type of their parameter."""
        self._load_state_dict(state_dict)
        saved = state_dict["state"]
        numbers = [n for group in state_dict["param_groups"] for n in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            for name, value in saved.get(number, {}).items():
                if isinstance(value, Tensor) and name != "step":
                    self.state[parameter][name] = value.detach().to(parameter.device, copy=True)
                elif name == "step":
                    self.state[parameter][name] = int(value)


def _gradient(parameter: Tensor) -> Tensor:
    """Sums in FP64 (`model.wide_sums`) are rounded to the type of the weight."""
    if parameter.grad is None or parameter.grad.is_sparse:
        raise RuntimeError("AdamW takes dense gradients")
    rounded = parameter.dtype == torch.float32 and parameter.grad.dtype == torch.float64
    return parameter.grad.float() if rounded else parameter.grad


def _update_block(
    w: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, step: int, group: dict[str, Any]
) -> None:
    (beta1, beta2), rate = group["betas"], group["lr"]
    g = grad.to(w.dtype)
    m, v = exp_avg.to(w.dtype), exp_avg_sq.to(w.dtype)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    if m.data_ptr() != exp_avg.data_ptr():
        exp_avg.copy_(m)
        exp_avg_sq.copy_(v)
    w.mul_(1 - rate * group["weight_decay"])
    root = v.sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
    w.addcdiv_(m, root, value=-rate / (1 - beta1**step))
