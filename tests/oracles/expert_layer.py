"""One mixture layer with its gradients: in one process, or a rank's share of it by a way of dispatch.

`LocalFlat` and `LocalTwoLevel` are the ways in one process that are slow and plain: formats of the wire by
rounding where rows would travel, sums by loops over nodes and ranks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from corpusmill.training_hooks.distributed.experts import SpreadExperts, SpreadFp8Experts
from corpusmill.training_hooks.distributed.traffic_count import Traffic
from corpusmill.training_hooks.distributed.ways import Compute, Way
from corpusmill.training_hooks.distributed.wire import AS_THEY_ARE, Format, Wire
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.moe import Experts, MixtureOfExperts
from corpusmill.training_hooks.precision.apply import Mode, apply, autocast
from corpusmill.training_hooks.precision.quantise import quantise
from corpusmill.training_hooks.precision.swiglu import Fp8Experts

TOKENS = 52


def rounded(rows: Tensor, format: Format) -> Tensor:
    """What of rows arrives by a wire of this format."""
    if format == "fp8":
        return quantise(rows, power_of_two=True).dequantise().to(rows.dtype)
    return rows.to(torch.bfloat16).to(rows.dtype) if format == "bf16" else rows


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, there: Format, back: Format) -> Tensor:
        ctx.back = back
        return rounded(rows, there).clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return rounded(grad, ctx.back), None, None


def passing(rows: Tensor, there: Format, back: Format) -> Tensor:
    """Rows as `there` rounds them, whose gradient is rounded by `back`."""
    found: Tensor = _Rounded.apply(rows, there, back)  # type: ignore[no-untyped-call]
    return found


@dataclasses.dataclass
class LocalFlat:
    """Flat dispatch of one process to itself."""

    wire: Wire
    rank: int = 0
    ranks: int = 1
    traffic: Traffic = dataclasses.field(default_factory=Traffic)

    def mixed(
        self,
        x_ND: Tensor,
        experts_NK: Tensor,
        gates_NK: Tensor,
        n_local: int,
        dtype: torch.dtype,
        compute: Compute,
    ) -> Tensor:
        """See `ways.Way`."""
        there, back = self.wire.dispatch, self.wire.combine
        order = slot_order(experts_NK, n_local)
        rows = passing(dispatch(x_ND, order, dtype), there, back)
        return combine(passing(compute(rows, order.counts), back, there), gates_NK, order)


@dataclasses.dataclass
class LocalTwoLevel:
    """Two-level dispatch as it would be over `nodes` x `size` ranks, all of them this process."""

    wire: Wire
    nodes: int
    size: int
    rank: int = 0
    ranks: int = 1
    traffic: Traffic = dataclasses.field(default_factory=Traffic)

    def mixed(
        self,
        x_ND: Tensor,
        experts_NK: Tensor,
        gates_NK: Tensor,
        n_local: int,
        dtype: torch.dtype,
        compute: Compute,
    ) -> Tensor:
        """See `ways.Way`."""
        there, back = self.wire.dispatch, self.wire.combine
        each = n_local // (self.nodes * self.size)
        x0_ND = passing(x_ND.to(dtype), there, "same")
        sums: list[Tensor] = []
        for node in range(self.nodes):
            xq_ND = passing(x0_ND, "same", back)
            partial = torch.zeros(x_ND.shape)
            for rank in range(node * self.size, (node + 1) * self.size):
                mine_NK = experts_NK // each == rank
                xr_ND = passing(xq_ND, "same", back)
                here = torch.zeros(x_ND.shape)
                # Slots elsewhere go to expert 0 with rows that are computed and thrown away.
                order = slot_order(torch.where(mine_NK, experts_NK, n_local), n_local + 1)
                rows = dispatch(xr_ND, order)[: sum(order.counts[:-1])]
                y_MD = compute(rows, order.counts[:-1])
                lost = y_MD.new_zeros(order.counts[-1], y_MD.shape[1])
                slots = torch.cat((y_MD, lost)).index_select(0, order.slot_to_sorted)
                for k in range(experts_NK.shape[1]):
                    of_k = slots.view(*experts_NK.shape, -1)[:, k].float()
                    here = here + of_k * (gates_NK * mine_NK)[:, k, None]
                partial = partial + passing(here, back, "same")
            sums.append(passing(partial, back, "same"))
        y_ND = torch.zeros(x_ND.shape)
        for part in sums:
            y_ND = y_ND + part
        return passing(y_ND, "same", there)


def layer_of(config: ModelConfig, crowd: bool) -> MixtureOfExperts:
    """A layer; with `crowd` every token chooses the last experts."""
    layer = MixtureOfExperts(config)
    initialise(layer, 5, 0.3)
    if crowd:
        half = config.n_routed_experts // 2
        layer.gate.e_score_correction_bias[half:] += 10.0
    return layer


def share(rank: int, ranks: int, lone: bool) -> slice:
    """The tokens of a rank: with `lone` the first has all."""
    if lone:
        return slice(0, TOKENS if rank == 0 else 0)
    return slice(rank * TOKENS // ranks, (rank + 1) * TOKENS // ranks)


def run_layer(
    config: ModelConfig, way: Way | None, *, crowd: bool = False, lone: bool = False, precision: Mode = "fp32"
) -> dict[str, Tensor]:
    """Output, gradients of the input, of the gate's weight and of this rank's experts. None: the layer as
    it is in one process."""
    layer = layer_of(config, crowd)
    apply(layer, precision)
    if way is not None:
        kind = SpreadFp8Experts if isinstance(layer.experts, Fp8Experts) else SpreadExperts
        layer.experts = kind(layer.experts, way)  # type: ignore[arg-type]
    draws = torch.Generator().manual_seed(9)
    x_ND = torch.randn(TOKENS, config.hidden_size, generator=draws)
    probe_ND = torch.randn(TOKENS, config.hidden_size, generator=draws)
    mine = slice(0, TOKENS) if way is None else share(way.rank, way.ranks, lone)
    x_BTD = x_ND[mine][None].requires_grad_()
    with autocast(precision, "cpu"):
        y_BTD, _ = layer(x_BTD, torch.ones(x_BTD.shape[:2], dtype=torch.bool))
    (y_BTD * probe_ND[mine]).sum().backward()
    assert isinstance(layer.experts, Experts)
    assert x_BTD.grad is not None
    assert layer.gate.weight.grad is not None
    found = {
        "y": y_BTD.detach()[0],
        "dx": x_BTD.grad[0],
        "gate": layer.gate.weight.grad,
    }
    for name in ("gate_up_proj", "down_proj"):
        grad = getattr(layer.experts, name).grad
        assert grad is not None
        found[name] = grad
    return {name: tensor.contiguous() for name, tensor in found.items()}


def counted(traffic: Traffic) -> dict[str, Any]:
    """Figures of a rank's traffic, as JSON."""
    return {
        "rows": {" ".join(sent): rows for sent, rows in traffic.rows.items()},
        "bytes": {" ".join(sent): size for sent, size in traffic.bytes.items()},
        "tokens": traffic.tokens,
        "nodes": traffic.nodes,
    }


# Every case of `run_layer` that ranks run: (name, two levels, wire, options).
CASES: list[tuple[str, bool, Wire, dict[str, Any]]] = [
    ("flat", False, AS_THEY_ARE, {}),
    ("two", True, AS_THEY_ARE, {}),
    ("flat_crowd", False, AS_THEY_ARE, {"crowd": True}),
    ("two_crowd", True, AS_THEY_ARE, {"crowd": True}),
    ("flat_lone", False, AS_THEY_ARE, {"lone": True}),
    ("two_lone", True, AS_THEY_ARE, {"lone": True}),
    ("flat_low", False, Wire("fp8", "bf16"), {}),
    ("two_low", True, Wire("fp8", "bf16"), {}),
    ("two_dispatch", True, Wire("fp8", "same"), {}),
    ("flat_bf16", False, AS_THEY_ARE, {"precision": "bf16"}),
    ("flat_bf16_low", False, Wire("fp8", "bf16"), {"precision": "bf16"}),
    ("two_bf16_low", True, Wire("fp8", "bf16"), {"precision": "bf16"}),
    ("flat_fp8", False, AS_THEY_ARE, {"precision": "fp8"}),
    ("flat_fp8_low", False, Wire("fp8", "bf16"), {"precision": "fp8"}),
    ("two_fp8", True, Wire("fp8", "same"), {"precision": "fp8"}),
    ("two_again", True, Wire("fp8", "bf16"), {}),
]
