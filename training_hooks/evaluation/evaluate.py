"""A model's bits per byte on held-out documents, and its loss by position.

B windows of a batch, T inputs, D width, V vocabulary, S sources.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from corpusmill.training_hooks.evaluation.held_out import HeldOut, Score
from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, autocast
from corpusmill.training_hooks.trainer.stop import stop_here_if_asked

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BATCH_TOKENS = 4096  # inputs that pass through the model at once, about


@dataclass(frozen=True)
class Evaluation:
    """`scores` by source and of all (`*`); `position_nats` float64[T] and `position_tokens` int64[T]: sums
    and counts of targets after t + 1 inputs."""

    scores: dict[str, Score]
    position_nats: F64
    position_tokens: I64

    def by_position(self) -> list[dict[str, Any]]:
        """Mean loss in nats of targets with `from` to `to` tokens before them: 1, 2, 3-4, 5-8 and so on."""
        found, low, power = [], 1, 1
        while low <= len(self.position_nats):
            high = min(power, len(self.position_nats))
            tokens = int(self.position_tokens[low - 1 : high].sum())
            if tokens:
                nats = float(self.position_nats[low - 1 : high].sum())
                found.append({"from": low, "to": high, "tokens": tokens, "nats_per_token": nats / tokens})
            low, power = power + 1, 2 * power
        return found


@contextlib.contextmanager
def other_weights(model: Transformer, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """`model` with `weights` inside, and with its own after. Memory: a copy of its own on the CPU."""
    own = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    try:
        yield
    finally:
        model.load_state_dict(own)


@torch.no_grad()
def evaluate(model: Transformer, held_out: HeldOut, context: int, precision: Mode = "fp32") -> Evaluation:
    """Score every token of `held_out` with windows of `context` inputs; the model is left as it was.

    The main model alone, without the multi-token prediction modules, in the arithmetic of training. Raises
    Interrupted where the training that asks for it is to stop.
    """
    device = model.embed_tokens.weight.device
    nats_S, tokens_S = np.zeros(len(held_out.sources)), np.zeros(len(held_out.sources), np.int64)
    nats_T, tokens_T = np.zeros(context), np.zeros(context, np.int64)
    for windows in held_out.windows(context, max(1, BATCH_TOKENS // context)):
        stop_here_if_asked()
        counted_BT = windows.source >= 0
        tokens_BW = torch.from_numpy(windows.tokens).to(device)
        real_BT = torch.from_numpy(counted_BT).to(device)  # an input is real where its target is
        with autocast(precision, device.type):
            h_BTD, _ = model.trunk(tokens_BW[:, :-1], real_BT)
            weight_N = real_BT.flatten().float()
            x_ND, target_N = model.norm(h_BTD).flatten(0, 1), tokens_BW[:, 1:].flatten()
            _, loss_N = head_cross_entropy(x_ND, model.lm_head.weight, target_N, weight_N)
        loss_BT = loss_N.view(counted_BT.shape).cpu().numpy().astype(np.float64)
        sources, losses = windows.source[counted_BT], loss_BT[counted_BT]
        nats_S += np.bincount(sources, weights=losses, minlength=len(nats_S))
        tokens_S += np.bincount(sources, minlength=len(tokens_S))
        nats_T += np.where(counted_BT, loss_BT, 0.0).sum(axis=0)
        tokens_T += counted_BT.sum(axis=0)
    return Evaluation(held_out.scores(nats_S, tokens_S), nats_T, tokens_T)
