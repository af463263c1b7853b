"""Forward and backward passes of a rank's rows through its part of the model: what a step asks of a pipeline.

B rows of this rank, W = T + 1 + D' tokens a row.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.experts import spread_experts
from corpusmill.training_hooks.distributed.ways import Way
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import BatchCounts
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult, pass_rows


class Passes(Protocol):
    """How a rank's rows come through the model."""

    @property
    def part(self) -> nn.Module:
        """The parameters and gates that this rank has, by the names that the whole `Transformer` gives
        them."""

    @property
    def fewest_rows(self) -> int:
        """Rows that a pass needs at least; fewer are filled up with padding."""

    def holders(self, name: str) -> frozenset[int]:
        """The pipeline ranks that have the parameter or buffer `name` of the whole model; the same on every
        rank."""

    def run(
        self,
        batch: Batch,
        whole: BatchCounts,
        settings: Settings,
        *,
        sources: int,
        tally: RoutingTally | None = None,
    ) -> StepResult:
        """Add this rank's share of the gradient of the whole batch to the `grad` of `part`'s parameters,
        which are None before.

        `batch`: rows of this (data, experts); every rank has as many, the last of them may be all padding
        (codes -1). `whole`: counts of the batch of all ranks, by which losses divide. The result is what this
        rank adds: zeros for losses and sources that others know, loads int64[E] for every gate of the whole
        model, zeros for those that are elsewhere. `norm` is left alone. `tally` is
        listening to the part's gates: call its `add` after each forward pass, of all gates or some.
        """


class PlainPasses:
    """A whole model on every rank, its experts spread over the ranks of `experts`, without a pipeline.

    The rows go through `settings.micro_batch` at a time. Takes `model` over. Raises UserError where experts
    cannot be spread. `way` as in `spread_experts`.
    """

    def __init__(self, model: Transformer, experts: dist.ProcessGroup, way: Way | None = None) -> None:
        self.part = model
        if experts.size() > 1:
            try:
                spread_experts(model, experts, way=way)
            except ValueError as error:
                raise UserError(f"parallel.experts: {error}") from error

    @property
    def fewest_rows(self) -> int:
        """As `Passes.fewest_rows`."""
        return 1

    def holders(self, name: str) -> frozenset[int]:
        """As `Passes.holders`."""
        return frozenset([0])

    def run(
        self,
        batch: Batch,
        whole: BatchCounts,
        settings: Settings,
        *,
        sources: int,
        tally: RoutingTally | None = None,
    ) -> StepResult:
        result = StepResult.empty(sources, whole)
        for start in range(0, len(batch.tokens), settings.micro_batch):
            rows = slice(start, start + settings.micro_batch)
            pass_rows(self.part, batch, rows, settings, result, tally)
        return result


def with_padding_rows(batch: Batch, rows: int) -> Batch:
    """`batch` and as many rows of padding as bring it to `rows`."""
    missing = rows - len(batch.tokens)
    if missing <= 0:
        return batch
    fill = np.full((missing, batch.tokens.shape[1]), batch.pad_id, np.int64)
    none = np.full_like(fill, -1)
    return Batch(np.concatenate((batch.tokens, fill)), np.concatenate((batch.codes, none)), batch.pad_id)


def device_of(part: nn.Module) -> torch.device:
    """Where the parameters of a part are."""
    return next(part.parameters()).device
