"""Expert parallelism: the routed experts of a layer spread over ranks, tokens sent to them and back.

Each rank has its own rows of the batch, all of the model but routed experts, and E / P of these. How rows
reach the ranks of their experts is the business of a `ways.Way`. No row is dropped, however uneven the load.

Losses of the ranks add up to that of the batch if each divides by the counts of the whole batch, as pieces of
a batch do in one process (`trainer.objective`). The gradient of an expert is then whole on its rank, since
all its rows were there; those of all other parameters are added up over ranks (`add_up_gradients`). N tokens
of this rank, K experts a token, M rows that arrive, E experts, P ranks, X = E / P experts of a rank, D width.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from corpusmill.training_hooks.distributed.exchange import add_up
from corpusmill.training_hooks.distributed.node_groups import flat_hop
from corpusmill.training_hooks.distributed.ways import Flat, Way
from corpusmill.training_hooks.model.moe import Experts, MixtureOfExperts
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.swiglu import Fp8Experts, fp8_experts


class SpreadExperts(Experts):
    """Experts rank * X .. rank * X + X - 1 of the E that `whole` has on every rank."""

    def __init__(self, whole: Experts, way: Way) -> None:
        n_experts, width, intermediate = whole.down_proj.shape
        if n_experts % way.ranks:
            raise ValueError(f"{n_experts} experts do not divide among {way.ranks} ranks")
        n_local = n_experts // way.ranks
        super().__init__(n_local, width, intermediate)
        mine = slice(way.rank * n_local, (way.rank + 1) * n_local)
        self.gate_up_proj = torch.nn.Parameter(whole.gate_up_proj.detach()[mine].clone())
        self.down_proj = torch.nn.Parameter(whole.down_proj.detach()[mine].clone())
        self.gate_up_proj.grad_dtype = whole.gate_up_proj.grad_dtype
        self.down_proj.grad_dtype = whole.down_proj.grad_dtype
        self.way = way

    def mixed(self, x_ND: Tensor, experts_NK: Tensor, gates_NK: Tensor) -> Tensor:
        """[N, D] of this rank's tokens. All ranks call it together."""
        n_local, dtype = self.down_proj.shape[0], self.rows_dtype(x_ND)
        return self.way.mixed(x_ND, experts_NK, gates_NK, n_local, dtype, self.forward)


class SpreadFp8Experts(SpreadExperts):
    """The same of experts that compute in FP8."""

    def __init__(self, whole: Fp8Experts, way: Way) -> None:
        super().__init__(whole, way)
        self.fp8 = whole.fp8

    def forward(self, x_MD: Tensor, counts: list[int]) -> Tensor:
        """As `Fp8Experts.forward`."""
        return fp8_experts(self, x_MD, counts, self.fp8)

    def rows_dtype(self, x_ND: Tensor) -> torch.dtype:
        """As `Fp8Experts.rows_dtype`."""
        return x_ND.dtype


def spread_experts(
    model: nn.Module,
    group: dist.ProcessGroup,
    back: dist.ProcessGroup | None = None,
    way: Way | None = None,
) -> None:
    """Keep only this rank's share of the routed experts in every mixture layer of `model`, in place.

    Every rank calls it on the same weights, after the precision was applied. Rows go by `way`, which is flat
    dispatch over `group` unless given; `back`: a group of the same ranks that gradients travel in, where
    passes run side by side. Raises ValueError where the experts do not divide among the ranks, or are spread
    already.
    """
    way = way or Flat(flat_hop(group, backward=back))
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            if isinstance(module.experts, Fp8Experts):
                module.experts = SpreadFp8Experts(module.experts, way)
            elif type(module.experts) is Experts:
                module.experts = SpreadExperts(module.experts, way)
            else:
                raise ValueError(f"{type(module.experts).__name__} cannot be spread over ranks")


def add_up_gradients(model: Transformer, group: dist.ProcessGroup) -> None:
    """Add up the gradients of all parameters that every rank has, in FP32 as they are. A rank without one
    adds zero."""
    own = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, SpreadExperts)
        for parameter in module.parameters()
    }
    shared = [parameter for parameter in model.parameters() if id(parameter) not in own]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    add_up((parameter.grad for parameter in shared if parameter.grad is not None), group)
