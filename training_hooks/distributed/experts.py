"""Expert parallelism: the routed experts of a layer spread over ranks, tokens sent to them and back.

Each rank has its own rows of the batch, all of the model but routed experts, and E / P of these. Rows come
sorted by expert, so those for one rank stand together: they are sent there, computed, and sent back to their
places. No row is dropped, however uneven the load.

Losses of the ranks add up to that of the batch if each divides by the counts of the whole batch, as pieces of
a batch do in one process (`trainer.objective`). The gradient of an expert is then whole on its rank, since
all its rows were there; those of all other parameters are added up over ranks (`add_up_gradients`). M rows of
this rank, R rows that arrive, E experts, P ranks, X = E / P experts of a rank, D width.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from corpusmill.training_hooks.distributed.exchange import add_up, exchange, exchange_counts
from corpusmill.training_hooks.model.moe import Experts, MixtureOfExperts
from corpusmill.training_hooks.model.transformer import Transformer


class SpreadExperts(Experts):
    """Experts rank * X .. rank * X + X - 1 of the E that `whole` has on every rank.

    `back`: a group of the same ranks that gradients travel in, where passes run side by side.
    """

    def __init__(
        self, whole: Experts, group: dist.ProcessGroup, back: dist.ProcessGroup | None = None
    ) -> None:
        n_experts, width, intermediate = whole.down_proj.shape
        ranks, rank = group.size(), group.rank()
        if n_experts % ranks:
            raise ValueError(f"{n_experts} experts do not divide among {ranks} ranks")
        super().__init__(n_experts // ranks, width, intermediate)
        mine = slice(rank * (n_experts // ranks), (rank + 1) * (n_experts // ranks))
        self.gate_up_proj = torch.nn.Parameter(whole.gate_up_proj.detach()[mine].clone())
        self.down_proj = torch.nn.Parameter(whole.down_proj.detach()[mine].clone())
        self.group, self.back = group, group if back is None else back

    def forward(self, x_MD: Tensor, counts: list[int]) -> Tensor:
        """[M, D] of this rank's rows sorted by expert; `counts`, E of them. All ranks call it together."""
        counts_PX = torch.tensor(counts, device=x_MD.device).view(self.group.size(), -1)
        theirs_PX = exchange_counts(counts_PX, self.group)
        sent, received = counts_PX.sum(1).tolist(), theirs_PX.sum(1).tolist()
        arrived_RD = exchange(x_MD, sent, received, self.group, self.back)
        by_expert_R = _by_expert(theirs_PX)
        computed_RD = super().forward(arrived_RD.index_select(0, by_expert_R), theirs_PX.sum(0).tolist())
        places_R = torch.empty_like(by_expert_R)
        places_R[by_expert_R] = torch.arange(by_expert_R.numel(), device=by_expert_R.device)
        return exchange(computed_RD.index_select(0, places_R), received, sent, self.group, self.back)


def _by_expert(counts_PX: Tensor) -> Tensor:
    """The order int64[R] that brings rows sorted by (rank, expert) into that by (expert, rank)."""
    ranks, experts = counts_PX.shape
    expert_PX = torch.arange(experts, device=counts_PX.device).expand(ranks, experts)
    return torch.argsort(expert_PX.flatten().repeat_interleave(counts_PX.flatten()), stable=True)


def spread_experts(model: nn.Module, group: dist.ProcessGroup, back: dist.ProcessGroup | None = None) -> None:
    """Keep only this rank's share of the routed experts in every mixture layer of `model`, in place.

    Every rank calls it on the same weights; `back` as in `SpreadExperts`. Raises ValueError where the experts
    do not divide among the ranks, or are spread already or of another kind (FP8).
    """
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            if type(module.experts) is not Experts:
                raise ValueError(f"{type(module.experts).__name__} cannot be spread over ranks")
            module.experts = SpreadExperts(module.experts, group, back)


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


def nodes_reached(experts_NK: Tensor, n_experts: int, nodes: int) -> Tensor:
    """On how many of `nodes`, which have n_experts / nodes experts each, the experts of each token are:
    int64[N]. Node-limited routing keeps it to the kept groups where a node has one group or more."""
    reached = torch.zeros(experts_NK.shape[0], nodes, dtype=torch.bool, device=experts_NK.device)
    reached.scatter_(1, experts_NK // (n_experts // nodes), True)
    return reached.sum(1)
