"""One optimiser step: the batch piece by piece, clip, AdamW, and one move of every routing bias.

B sequences of the batch, W = T + 1 + D' tokens a row, E experts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.model.balance import update_bias
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, autocast
from corpusmill.training_hooks.trainer.clipping import clip_gradients
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import BatchCounts, Objective, objective
from corpusmill.training_hooks.trainer.optimiser import set_learning_rate
from corpusmill.training_hooks.trainer.stop import StopRequest

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """`tokens` int64[B, W], and `codes` int64[B, W], the source of every token, -1 on padding."""

    tokens: I64
    codes: I64
    pad_id: int


@dataclass(frozen=True)
class Settings:
    """What holds for one step; `micro_batch`: sequences that pass through the model at once."""

    learning_rate: float
    gamma: float
    mtp_weight: float
    alpha: float
    micro_batch: int
    precision: Mode
    clip: float = 1.0


@dataclass
class StepResult:
    """What the whole batch adds to the objective in nats (`loss`, `mtp`, `balance`), the gradient's norm
    before clipping, real targets, the summed loss and count of targets of each source, int64[E] loads of each
    gate, and `counts`, what the means divide by."""

    loss: float
    mtp: float
    balance: float
    norm: float
    targets: int
    source_loss: F64
    source_targets: I64
    loads: list[Tensor]
    counts: BatchCounts

    @classmethod
    def empty(cls, sources: int, counts: BatchCounts) -> Self:
        """Before the first rows of a batch of these counts."""
        return cls(0.0, 0.0, 0.0, 0.0, 0, np.zeros(sources), np.zeros(sources, np.int64), [], counts)

    @property
    def mean_loss(self) -> float | None:
        """The main model's mean loss; None for a batch without a target."""
        return self.loss if self.targets else None

    @property
    def mean_mtp(self) -> float | None:
        """The mean over the MTP depths that have a target of their mean losses; None without any."""
        depths = self.counts.targets[1:]
        seen = sum(targets > 0 for targets in depths)
        return self.mtp * len(depths) / seen if seen else None

    @property
    def mean_balance(self) -> float | None:
        """The sum over layers of their means over sequences; None for a batch without a real token."""
        return self.balance if self.counts.sequences[0] else None


def training_step(
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    settings: Settings,
    *,
    sources: int,
    stop: StopRequest,
    tally: RoutingTally | None = None,
) -> StepResult | None:
    """Train `model` on `batch`; None, with nothing changed, where a stop was asked for before the end.

    Biases move by the loads of the whole batch, once. Raises UserError when the loss or its gradient is no
    finite number; the weights are then those before the step.
    """
    result = gradients(model, optimiser, batch, settings, sources=sources, stop=stop, tally=tally)
    if result is None:
        return None
    result.norm = clip_gradients(model.parameters(), settings.clip)
    total = result.loss + settings.mtp_weight * result.mtp + settings.alpha * result.balance
    if not math.isfinite(total) or not math.isfinite(result.norm):
        raise UserError(
            f"loss {total} with gradient norm {result.norm}: lower the learning rate or lengthen the warm-up"
        )
    set_learning_rate(optimiser, settings.learning_rate)
    optimiser.step()
    for gate, load_E in zip(model.gates(), result.loads, strict=True):
        update_bias(gate.e_score_correction_bias, load_E, settings.gamma)
    return result


def gradients(
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    settings: Settings,
    *,
    sources: int,
    stop: StopRequest,
    tally: RoutingTally | None = None,
) -> StepResult | None:
    """Leave the gradient of the whole batch in the parameters, piece by piece."""
    real_BW = torch.from_numpy(batch.tokens) != batch.pad_id
    result = StepResult.empty(sources, BatchCounts.of(real_BW, len(model.mtp)))
    optimiser.zero_grad(set_to_none=True)
    for start in range(0, len(batch.tokens), settings.micro_batch):
        if stop.asked:
            return None
        pass_rows(model, batch, slice(start, start + settings.micro_batch), settings, result, tally)
    return result


def pass_rows(
    model: Transformer,
    batch: Batch,
    rows: slice,
    settings: Settings,
    result: StepResult,
    tally: RoutingTally | None = None,
) -> None:
    """Forward and backward for some rows of a batch whose counts are `result.counts`: their gradient is added
    to that of the parameters, their losses and loads to `result`, and their routing to `tally`."""
    device = model.embed_tokens.weight.device
    tokens_BW = torch.from_numpy(batch.tokens[rows])
    with autocast(settings.precision, device.type):
        losses = objective(
            model,
            tokens_BW.to(device),
            (tokens_BW != batch.pad_id).to(device),
            settings.mtp_weight,
            settings.alpha,
            result.counts,
        )
    losses.total.backward()  # type: ignore[no-untyped-call]
    count_in(result, losses, batch.codes[rows])
    if tally is not None:
        tally.add(batch.codes[rows], losses.counted.shape[1])


def count_in(result: StepResult, losses: Objective, codes_BW: I64) -> None:
    """Count one piece's losses and loads in."""
    result.loss += float(losses.loss)
    result.mtp += float(losses.mtp)
    result.balance += float(losses.balance)
    result.targets += int(losses.counted.sum())
    pairs = zip(result.loads, losses.loads, strict=True) if result.loads else ()
    result.loads = [before + load for before, load in pairs] or losses.loads
    codes_BT = codes_BW[:, 1 : 1 + losses.counted.shape[1]]
    counted_BT = losses.counted.cpu().numpy() & (codes_BT >= 0)
    codes = codes_BT[counted_BT]
    loss = losses.token_loss.cpu().numpy()[counted_BT].astype(np.float64)
    result.source_loss += np.bincount(codes, weights=loss, minlength=len(result.source_loss))
    result.source_targets += np.bincount(codes, minlength=len(result.source_targets))
