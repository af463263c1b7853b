"""DeepSeekMoE layer (section 2.1.2): shared experts that see every token, routed experts that see some.

B sequences, T positions, N = B * T tokens, M = N * K slots, D width, E experts, F their width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.balance import expert_load, sequence_balance_loss
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order
from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.grouped_linear import grouped_linear
from corpusmill.training_hooks.model.wide_sums import is_wide, silu


class Routing(NamedTuple):
    """What one layer's routing did in one pass, returned rather than stored, so that nothing counts twice
    when a layer is recomputed: `load` int64[E] and the sequence-wise balance loss (a scalar)."""

    load: Tensor
    balance_loss: Tensor


class Experts(nn.Module):
    """E SwiGLU experts, stacked: `gate_up_proj` [E, 2F, D] = [gate; up] and `down_proj` [E, D, F]."""

    def __init__(self, n_experts: int, width: int, intermediate: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(n_experts, 2 * intermediate, width))
        self.down_proj = nn.Parameter(torch.empty(n_experts, width, intermediate))

    def forward(self, x_MD: Tensor, counts: list[int]) -> Tensor:
        """[M, D] of rows sorted by expert; `counts` rows each."""
        gate_MF, up_MF = grouped_linear(x_MD, self.gate_up_proj, counts).chunk(2, dim=-1)
        hidden_MF = silu(gate_MF, is_wide(self.down_proj)) * up_MF
        return grouped_linear(hidden_MF, self.down_proj, counts)

    def mixed(self, x_ND: Tensor, experts_NK: Tensor, gates_NK: Tensor) -> Tensor:
        """[N, D]: of each token the sum of its K experts' outputs, weighted by `gates_NK` FP32.
        `experts_NK` int64. Experts that lie elsewhere have their own way of getting rows there and back."""
        order = slot_order(experts_NK, self.down_proj.shape[0])
        rows_MD = dispatch(x_ND, order, self.rows_dtype(x_ND))
        return combine(self(rows_MD, order.counts), gates_NK, order)

    def rows_dtype(self, x_ND: Tensor) -> torch.dtype:
        """The type that rows are dispatched in: autocast's, so that a token is cast once for all its
        experts."""
        kind = x_ND.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x_ND.dtype


class MixtureOfExperts(nn.Module):
    """x [B, T, D] -> [B, T, D]; every token reaches its K experts, whatever their load."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_experts, self.k = config.n_routed_experts, config.num_experts_per_tok
        self.gate = Gate(config)
        self.experts = Experts(self.n_experts, config.hidden_size, config.moe_intermediate_size)
        self.shared_experts = (
            FeedForward(config.hidden_size, config.n_shared_experts * config.moe_intermediate_size)
            if config.n_shared_experts
            else None
        )

    def forward(self, x_BTD: Tensor, real_BT: Tensor) -> tuple[Tensor, Routing]:
        """`real_BT` bool is false on padding, which is computed but enters no load and no loss."""
        x_ND = x_BTD.flatten(0, 1)
        experts_NK, gates_NK, affinities_NE = self.gate(x_ND)
        y_ND = self.experts.mixed(x_ND, experts_NK, gates_NK)
        if self.shared_experts is not None:
            y_ND = y_ND + self.shared_experts(x_ND)
        affinities_BTE = torch.unflatten(affinities_NE, 0, x_BTD.shape[:2])
        if is_wide(self.gate.weight):
            affinities_BTE = affinities_BTE.double()  # its sums are over positions, its mean over sequences
        routing = Routing(
            load=expert_load(experts_NK, real_BT.flatten(), self.n_experts),
            balance_loss=sequence_balance_loss(affinities_BTE, real_BT, self.k),
        )
        return y_ND.view_as(x_BTD), routing
