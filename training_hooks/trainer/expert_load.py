"""How tokens spread over experts: measures of one step, and which source's tokens go where.

E experts, K chosen, N tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.balance import max_violation
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.transformer import Transformer

I64 = npt.NDArray[np.int64]
DIGITS = 6  # of a measure written for every layer and step


def mean_violation(load_E: Tensor) -> float | None:
    """Mean over experts of |load - mean load| / mean load: 0 is perfect balance; None without any load."""
    load = load_E.to(torch.float64)
    mean = float(load.mean())
    return float((load - mean).abs().mean()) / mean if mean > 0 else None


def load_entropy(load_E: Tensor) -> float | None:
    """Entropy of the shares of load over ln E: 1 is perfect balance, 0 is one expert for all.

    None without load.
    """
    load = load_E[load_E > 0].to(torch.float64)
    if load.numel() == 0:
        return None
    if load_E.numel() < 2:
        return 1.0
    share = load / load.sum()
    return float(-(share * share.log()).sum()) / math.log(load_E.numel())


def load_measures(loads: Sequence[Tensor]) -> dict[str, list[float | None]]:
    """`max_violation`, `mean_violation` and `entropy` of every layer, to six digits; None without load."""
    measures = {"max_violation": max_violation, "mean_violation": mean_violation, "entropy": load_entropy}
    found = {name: [of(load) for load in loads] for name, of in measures.items()}
    return {
        name: [None if value is None else round(value, DIGITS) for value in values]
        for name, values in found.items()
    }


def layer_names(model: Transformer) -> list[str]:
    """Names of the mixture layers in the order of `Transformer.gates`, such as `layers.1` and `mtp.0`."""
    gates = {id(gate) for gate in model.gates()}
    found = [name for name, module in model.named_modules() if id(module) in gates]
    return [".".join(name.split(".")[:2]) for name in found]


class RoutingTally:
    """Counts int64[layer, source, expert] of real tokens: which experts each source's tokens were sent to.

    A token's source is that of the token whose embedding the layer received; MTP modules receive later ones.
    """

    def __init__(self, model: Transformer, sources: int) -> None:
        self._use(model.gates(), range(len(model.gates())), len(model.mtp))
        shape = (len(self._gates), sources, model.config.n_routed_experts)
        self.counts: I64 = np.zeros(shape, np.int64)

    @classmethod
    def of_part(cls, part: nn.Module, gates: Sequence[str], config: ModelConfig, sources: int) -> Self:
        """Of a part of a model that has some of the `gates` named; counts of the others stay 0."""
        tally = cls.__new__(cls)
        numbers = {name: number for number, name in enumerate(gates)}
        found = [(numbers[n], m) for n, m in part.named_modules() if isinstance(m, Gate)]
        tally._use([m for _, m in found], [n for n, _ in found], config.num_nextn_predict_layers)
        tally.counts = np.zeros((len(gates), sources, config.n_routed_experts), np.int64)
        return tally

    def _use(self, gates: Sequence[Gate], layers: Sequence[int], depths: int) -> None:
        self._gates, self._depths = gates, depths
        self._layers = {id(gate): layer for gate, layer in zip(gates, layers, strict=True)}
        self._chosen: dict[int, Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, the gates' choices are noted; call `add` after each forward pass."""
        handles = [gate.register_forward_hook(self._note) for gate in self._gates]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._chosen.clear()

    def _note(self, gate: Any, inputs: Any, output: tuple[Tensor, Tensor, Tensor]) -> None:
        layer = self._layers[id(gate)]
        if layer in self._chosen:
            raise AssertionError(f"gate {layer} chose experts twice in one pass")
        self._chosen[layer] = output[0]

    def add(self, codes_BW: I64, length: int) -> None:
        """Count one pass, of all gates or some, over rows whose tokens have the sources `codes_BW` (-1:
        padding)."""
        layers, _, experts = self.counts.shape
        for layer, chosen_NK in self._chosen.items():
            depth = max(0, layer - (layers - self._depths) + 1)
            codes_N1 = codes_BW[:, depth : depth + length].reshape(-1, 1)
            cells_NK = codes_N1 * experts + chosen_NK.cpu().numpy()
            cells = cells_NK[codes_N1[:, 0] >= 0].reshape(-1)
            self.counts[layer] += np.bincount(cells, minlength=self.counts[layer].size).reshape(-1, experts)
        self._chosen.clear()
