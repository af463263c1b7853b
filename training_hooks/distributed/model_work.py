"""What the passes of a pipeline compute: stages of the model on the rows of a rank, chunk by chunk.

A chunk's gradients of weights have a list of their own (`model.weight_gradients`), so that the schedule can
put them off. A stage's balance losses are part of what is minimised: their gradient starts at the stage, next
to the one that comes from the stage after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.stages import Stage, has
from corpusmill.training_hooks.model.weight_gradients import WeightGradients, put_off
from corpusmill.training_hooks.precision.apply import autocast
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import Objective, objective_of
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult, count_in


@dataclass(frozen=True)
class _Passed:
    """A chunk between its forward and its backward pass."""

    taken: Tensor | None
    output: Tensor
    total: Tensor
    later: WeightGradients


class ModelWork:
    """The passes of `part` on `chunks`, batches of equal shape.

    Losses and loads are added to `result`, whose counts the losses divide by. `gates` are the names of all
    gates of the whole model; loads of those that are elsewhere are zeros.
    """

    def __init__(
        self,
        part: Part,
        stages: Sequence[Stage],
        chunks: Sequence[Batch],
        settings: Settings,
        result: StepResult,
        gates: Sequence[str],
        tally: RoutingTally | None = None,
    ) -> None:
        self._part, self._stages, self._chunks = part, stages, chunks
        self._settings, self._result, self._gates, self._tally = settings, result, gates, tally
        self._passed: dict[tuple[int, int], _Passed] = {}
        self._waiting: dict[tuple[int, int], WeightGradients] = {}
        self._device = next(part.parameters()).device

    def forward(self, stage: int, chunk: int, taken: Tensor | None) -> Tensor | None:
        """As `StageWork.forward`."""
        batch, settings, of_stage = self._chunks[chunk], self._settings, self._stages[stage]
        tokens_BW = torch.from_numpy(batch.tokens)
        real_BW = (tokens_BW != batch.pad_id).to(self._device)
        tokens_BW = tokens_BW.to(self._device)
        if taken is not None:
            taken.requires_grad_()
        later = WeightGradients()
        with autocast(settings.precision, self._device.type), put_off(later):
            output, passed = self._part(of_stage, taken, tokens_BW, real_BW)
            losses = objective_of(
                passed,
                self._part.lm_head.weight if of_stage.last else None,
                self._part.config.num_nextn_predict_layers,
                tokens_BW,
                real_BW,
                settings.mtp_weight,
                settings.alpha,
                self._result.counts,
            )
        count_in(self._result, replace(losses, loads=self._loads(of_stage, losses)), batch.codes)
        if self._tally is not None:
            self._tally.add(batch.codes, losses.counted.shape[1])
        self._passed[stage, chunk] = _Passed(taken, output, losses.total, later)
        return None if of_stage.last else output.detach()

    def backward(self, stage: int, chunk: int, gradient: Tensor | None, *, weights: bool) -> Tensor | None:
        """As `StageWork.backward`."""
        passed = self._passed.pop((stage, chunk))
        passed.later.waiting = not weights
        roots: list[tuple[Tensor, Tensor | None]] = (
            [(passed.total, None)] if passed.total.requires_grad else []
        )
        if gradient is not None:
            roots.append((passed.output, gradient))
        torch.autograd.backward([root for root, _ in roots], [grad for _, grad in roots])
        if not weights:
            self._waiting[stage, chunk] = passed.later
        return None if passed.taken is None else passed.taken.grad

    def weights(self, stage: int, chunk: int) -> None:
        """As `StageWork.weights`."""
        self._waiting.pop((stage, chunk)).run()

    def _loads(self, stage: Stage, losses: Objective) -> list[Tensor]:
        """int64[E] for all gates of the whole model."""
        config, own = self._part.config, iter(losses.loads)
        loads = [
            next(own)
            if has(config, stage, name)
            else torch.zeros(config.n_routed_experts, dtype=torch.int64, device=self._device)
            for name in self._gates
        ]
        assert next(own, None) is None, "a gate of the stage has no name in the model"
        return loads
