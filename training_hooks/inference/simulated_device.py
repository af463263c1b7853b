"""One device of a pool: the replicas of experts that it has loaded, and the rows that it computes.

Simulated: its weights are copies of its own, and it sees only the rows that are routed to it.
E experts of a layer, S replicas on this device, D width, F intermediate width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.moe import Experts


class SimulatedDevice:
    """`experts`: what it has loaded, ascending; nothing at first."""

    def __init__(self) -> None:
        self.experts: tuple[int, ...] = ()
        self._loaded: Experts | None = None

    def load(self, experts: Sequence[int], store: Experts) -> int:
        """Have these experts: those it has already stay as they are, others are copied from `store`, which
        has all E. Returns how many were copied."""
        have = {expert: slot for slot, expert in enumerate(self.experts)}
        new = [expert for expert in experts if expert not in have]
        made = Experts(len(experts), store.down_proj.shape[1], store.down_proj.shape[2])
        for name in ("gate_up_proj", "down_proj"):
            whole, old = getattr(store, name), getattr(self._loaded, name, None)
            parts = [whole[e] if old is None or e not in have else old[have[e]] for e in experts]
            weights = torch.stack(parts) if parts else whole[:0].clone()
            setattr(made, name, nn.Parameter(weights, requires_grad=False))
        self.experts, self._loaded = tuple(experts), made
        return len(new)

    def compute(self, rows_MD: Tensor, counts: list[int]) -> Tensor:
        """[M, D] of rows sorted by the experts here, `counts` rows each."""
        if self._loaded is None:
            raise ValueError("a device computes nothing before experts are loaded")
        return self._loaded.forward(rows_MD, counts)


def with_shared(routed: Experts, shared: FeedForward | None) -> Experts:
    """A store of the routed experts, and of the shared one behind them in parts as wide as a routed one:
    SwiGLU of several times their width is the sum of so many experts. Raises ValueError for another width."""
    n_experts, width, intermediate = routed.down_proj.shape
    gate_up = [routed.gate_up_proj.detach()]
    down = [routed.down_proj.detach()]
    if shared is not None:
        whole = shared.down_proj.weight.shape[1]
        if whole % intermediate:
            raise ValueError(f"a shared expert of width {whole} is no multiple of {intermediate}")
        for start in range(0, whole, intermediate):
            part = slice(start, start + intermediate)
            halves = shared.gate_proj.weight.detach()[part], shared.up_proj.weight.detach()[part]
            gate_up.append(torch.cat(halves)[None])
            down.append(shared.down_proj.weight.detach()[None, :, part])
    store = Experts(n_experts + len(down) - 1, width, intermediate)
    store.gate_up_proj = nn.Parameter(torch.cat(gate_up), requires_grad=False)
    store.down_proj = nn.Parameter(torch.cat(down), requires_grad=False)
    return store
