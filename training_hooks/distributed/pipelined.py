"""Passes through a pipeline: the rows of a rank in micro-batches, by a schedule.

Fulfils `passes.Passes`. The rows are divided over as many micro-batches as the schedule needs, all of one
shape: those that have a row less are filled up with padding, which enters no loss and no load. With experts
spread over ranks, all ranks of a pipeline rank do the same passes in the same order, so that each finds the
others in every exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.distributed.executor import Executor
from corpusmill.training_hooks.distributed.experts import spread_experts
from corpusmill.training_hooks.distributed.model_work import ModelWork
from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.passes import device_of, with_padding_rows
from corpusmill.training_hooks.distributed.pieces import WholeModel
from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.distributed.ways import Way
from corpusmill.training_hooks.distributed.wires import RECEIVES_AHEAD, Wires
from corpusmill.training_hooks.schedules.actions import Schedule
from corpusmill.training_hooks.schedules.blocking import Program, programs
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import BatchCounts
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult


class PipelinedPasses:
    """A pipeline rank's `part` of the model, and its passes by the schedule of `pipeline`.

    `channels`: those between the pipeline's ranks. `experts` and `back`: the groups of those that the
    routed experts are spread over, of the same ranks, for forward and backward passes; None where they are
    not. `chunks` and `settings.micro_batch` are those of `Pipeline.chunks`, `way` is that of
    `spread_experts`, `side_by_side` that of `Executor` on the CPU; `last`: the latest step's executor, for
    measuring. Takes `part` over, with its weights and its precision. Raises UserError where experts cannot be
    spread.
    """

    def __init__(
        self,
        part: Part,
        pipeline: Pipeline,
        channels: Channels,
        experts: dist.ProcessGroup | None = None,
        back: dist.ProcessGroup | None = None,
        *,
        chunks: int | None = None,
        way: Way | None = None,
        side_by_side: bool = True,
    ) -> None:
        if channels.size != pipeline.ranks:
            raise ValueError(f"{channels.size} processes for a pipeline of {pipeline.ranks} ranks")
        self.part, self.pipeline, self.rank = part, pipeline, channels.rank
        self._channels, self._chunks = channels, chunks
        on_cpu = device_of(part).type == "cpu"
        self._side_by_side, self._ahead = side_by_side and on_cpu, RECEIVES_AHEAD if on_cpu else 0
        self._gates = WholeModel.of(pipeline.config).gates
        self._programs: dict[int, tuple[Schedule, Program]] = {}
        self.last: Executor | None = None
        if experts is not None and experts.size() > 1:
            try:
                spread_experts(part, experts, back, way)
            except ValueError as error:
                raise UserError(f"parallel.experts: {error}") from error

    @property
    def fewest_rows(self) -> int:
        """As `Passes.fewest_rows`."""
        return self.pipeline.fewest_chunks

    def holders(self, name: str) -> frozenset[int]:
        """As `Passes.holders`."""
        return self.pipeline.holders(name)

    def run(
        self,
        batch: Batch,
        whole: BatchCounts,
        settings: Settings,
        *,
        sources: int,
        tally: RoutingTally | None = None,
    ) -> StepResult:
        """As `Passes.run`. Raises UserError where the rows do not fill the schedule, `executor.PassError`
        where another rank is lost."""
        chunks = self.pipeline.chunks(len(batch.tokens), settings.micro_batch, self._chunks)
        schedule, program = self._program(chunks)
        pieces = in_chunks(batch, chunks)
        result = replace(StepResult.empty(sources, whole), loads=self._no_loads())
        work = ModelWork(self.part, self.pipeline.stages, pieces, settings, result, self._gates, tally)
        config, device = self.pipeline.config, device_of(self.part)
        rows, length = pieces[0].tokens.shape
        shape = (rows, length - 1 - config.num_nextn_predict_layers, config.hidden_size)
        # The residual stream is FP32 in every precision.
        wires = Wires(self._channels, program, lambda: torch.empty(shape, device=device), ahead=self._ahead)
        self.last = Executor(schedule, program, self.rank, work, wires, self._side_by_side)
        self.last.run()
        return result

    def _program(self, chunks: int) -> tuple[Schedule, Program]:
        if chunks not in self._programs:
            schedule = self.pipeline.schedule(chunks)
            self._programs[chunks] = schedule, programs(schedule)[self.rank]
        return self._programs[chunks]

    def _no_loads(self) -> list[Tensor]:
        experts, device = self.pipeline.config.n_routed_experts, device_of(self.part)
        return [torch.zeros(experts, dtype=torch.int64, device=device) for _ in self._gates]


def in_chunks(batch: Batch, chunks: int) -> Sequence[Batch]:
    """`batch` in so many pieces of equal shape: neighbouring rows, then rows of padding where one fewer."""
    count = len(batch.tokens)
    rows = [slice(n * count // chunks, (n + 1) * count // chunks) for n in range(chunks)]
    parts = [Batch(batch.tokens[one], batch.codes[one], batch.pad_id) for one in rows]
    return [with_padding_rows(part, -(-count // chunks)) for part in parts]
