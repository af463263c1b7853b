"""Ranks that train one model together, as the loop sees them: a step, checkpoints, looks.

A step of B sequences: every rank takes its rows, filled up with padding so that all have as many; one message
adds up what losses divide by; passes leave a share of the gradient; shares are added up and updated
(`zero`); one message adds up losses, loads and the squares of the gradient. So all ranks know the same line
of metrics, clip by the same norm, move the biases of gates alike, and find a loss that is no number
together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.pipelines.contract.errors import Interrupted, UserError
from corpusmill.pipelines.records.training_files import PipelineUsed
from corpusmill.training_hooks.distributed.gathering import Gathering
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.measured_step import measured_step
from corpusmill.training_hooks.distributed.passes import Passes, device_of, with_padding_rows
from corpusmill.training_hooks.distributed.pieces import WholeModel, pieces
from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses
from corpusmill.training_hooks.distributed.sharded_checkpoint import ShardedCheckpoints
from corpusmill.training_hooks.distributed.zero import Owned, ShardedAdamW
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.balance import update_bias
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints, Position
from corpusmill.training_hooks.trainer.clipping import factor
from corpusmill.training_hooks.trainer.ema import Ema
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import BatchCounts
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult
from corpusmill.training_hooks.trainer.stop import StopRequest
from corpusmill.training_hooks.trainer.stored_tensors import StoredRange, StoredTensors
from corpusmill.training_hooks.trainer.workers import Look, Routing

log = logging.getLogger("corpusmill.train")


class Together:
    """This rank of those in `groups`, which drive their parts of a model by `passes`.

    `blank` makes the whole model, weights to be filled in, for rank 0 to judge. `checkpoints`: on rank 0;
    `keeps`: whether there are any. The averaged weights are kept whole by the first rank that has each, not
    divided by ZeRO.
    """

    def __init__(
        self,
        config: ModelConfig,
        passes: Passes,
        groups: Groups,
        loader: ShardLoader,
        blank: Callable[[], Transformer],
        *,
        moments: torch.dtype,
        ema_decay: float | None,
        checkpoints: Checkpoints | None,
        keeps: bool,
    ) -> None:
        self.config, self.keeps = config, keeps
        self.leads = groups.rank == 0
        size = groups.layout
        self.layout = (size.pipeline, size.data, size.experts)
        self.device = device_of(passes.part)
        self._passes, self._groups, self._loader, self._blank = passes, groups, loader, blank
        whole = WholeModel.of(config)
        self._gathering = Gathering(whole, groups, passes.holders)
        groups.make(one.ranks for one in self._gathering.every)
        self._zero = ShardedAdamW(
            pieces(passes.part, self._gathering.every, groups.rank),
            groups,
            [name for name, shape in whole.parameters.items() if len(shape) >= 2],
            moments=moments,
        )
        numbers = {name: number for number, name in enumerate(whole.gates)}
        found = [(numbers[n], m) for n, m in passes.part.named_modules() if isinstance(m, Gate)]
        self._gates: list[tuple[int, Gate]] = found
        self._shape = (len(whole.gates), config.n_routed_experts)
        self._tally = RoutingTally.of_part(passes.part, whole.gates, config, len(loader.sources))
        self._ema = None
        self._ema_decay = ema_decay
        if ema_decay is not None and self._gathering.mine:
            self._ema = Ema(passes.part, ema_decay, self._gathering.mine)
        self._checkpoints = ShardedCheckpoints(checkpoints, groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ema is not None:
            self._ema.close()

    def step(
        self, first: int, count: int, settings: Settings, *, stop: StopRequest, counted: bool
    ) -> StepResult | None:
        loader, layout = self._loader, self._groups.layout
        rows = layout.rows(count, self._groups.place)
        start, mine = first + rows.start, rows.stop - rows.start
        batch = Batch(loader.sequences(start, mine), loader.sequence_sources(start, mine), loader.pad_id)
        batch = with_padding_rows(batch, max(layout.most_rows(count), self._passes.fewest_rows))
        whole = self._counts(batch, stop)
        if whole is None:
            return None
        tally = self._tally if counted else None
        with tally.listening() if tally is not None else contextlib.nullcontext():
            result = self._passes.run(batch, whole, settings, sources=len(loader.sources), tally=tally)
        self._add_up(result, self._zero.reduce())
        total = result.loss + settings.mtp_weight * result.mtp + settings.alpha * result.balance
        if not math.isfinite(total) or not math.isfinite(result.norm):
            raise UserError(
                f"loss {total} with gradient norm {result.norm}: lower the learning rate or lengthen the "
                "warm-up"
            )
        self._zero.step(settings.learning_rate, factor(result.norm, settings.clip))
        for number, gate in self._gates:
            update_bias(gate.e_score_correction_bias, result.loads[number], settings.gamma)
        if self._ema is not None:
            self._ema.update()
        return result

    def _counts(self, batch: Batch, stop: StopRequest) -> BatchCounts | None:
        """What the losses of the batch of all ranks divide by; None where a rank was asked to stop."""
        depths = self.config.num_nextn_predict_layers
        mine = BatchCounts.of(torch.from_numpy(batch.tokens) != batch.pad_id, depths)
        counts = torch.tensor([float(stop.asked), *mine.targets, *mine.sequences], dtype=torch.float64)
        if self._groups.place.pipeline:  # the same rows as the first of its pipeline
            counts[1:] = 0
        dist.all_reduce(counts, group=self._groups.world)
        asked, *found = counts.tolist()
        return None if asked else BatchCounts(found[: depths + 1], found[depths + 1 :])

    def _add_up(self, result: StepResult, squares: float) -> None:
        """Make the result that of all ranks; `squares`: of the rank's share of the gradient."""
        sources, (gates, experts) = len(result.source_loss), self._shape
        parts = [
            torch.tensor(
                [result.loss, result.mtp, result.balance, result.targets, squares], dtype=torch.float64
            ),
            torch.from_numpy(result.source_loss).double(),
            torch.from_numpy(result.source_targets).double(),
            torch.stack(result.loads).flatten().double().cpu(),
        ]
        sums = torch.cat(parts)
        dist.all_reduce(sums, group=self._groups.world)
        first, loss, targets, loads = torch.split(sums, [5, sources, sources, gates * experts])
        result.loss, result.mtp, result.balance, count, squares = first.tolist()
        result.targets, result.norm = int(count), math.sqrt(squares)
        result.source_loss, result.source_targets = loss.numpy(), targets.numpy().astype(np.int64)
        result.loads = list(loads.view(gates, experts).long().to(self.device))

    def anyone(self, asked: bool) -> bool:
        return self._groups.anyone(asked)

    def look(self, look: Look, done: int) -> dict[str, Any]:
        if not self.anyone(self.leads and look.due(done)):
            return {}
        model = self.whole_model()
        found: dict[str, Any] = {}
        stopped: Interrupted | None = None
        if model is not None:
            try:
                found = look.at(done, model)
            except Interrupted as error:
                stopped = error
        if self.anyone(stopped is not None):
            raise Interrupted("stopped while judging the model") from stopped
        return found

    def whole_model(self) -> Transformer | None:
        """The whole model on rank 0; None on others."""
        part = self._passes.part
        if isinstance(part, Transformer) and self._groups.layout.experts == 1:
            return part if self.leads else None
        state = self._gathering.whole(self._first_tensors())
        if state is None:
            return None
        model = self._blank()
        model.load_state_dict(state)
        return model

    def pipeline(self) -> dict[str, Any]:
        """See `Workers.pipeline`."""
        executor = self._passes.last if isinstance(self._passes, PipelinedPasses) else None
        if executor is None:
            return {}
        schedule, measured = executor.schedule, measured_step(executor, self._groups.pipeline)
        waits = measured.waits
        if self.leads:
            log.info(
                "the last step's pipeline (%s, %d ranks, %d chunks) took %.2f s, of which ranks waited "
                "%.0f%% to %.0f%%",
                *(schedule.name, schedule.ranks, schedule.chunks, measured.seconds),
                *(100 * min(waits), 100 * max(waits)),
            )
        used = PipelineUsed(schedule.name, schedule.ranks, schedule.chunks)
        return {"pipeline": dataclasses.asdict(used)}

    def _first_tensors(self) -> dict[str, Tensor]:
        """Weights and biases that this rank is the first to have."""
        return {n: t for n, t in self._passes.part.state_dict().items() if n in self._gathering.mine}

    def take_up(self, metrics: Path) -> Position | None:
        latest = self._checkpoints.latest() if self.keeps else None
        if latest is None:
            return None
        position = latest.position
        with latest.stored("model") as stored:
            self._fill(self._passes.part.state_dict(), stored)
        with latest.stored("optimiser") as stored:
            moments = stored

            def read(moment: str, owned: Owned) -> Tensor | None:
                key = f"{moment}.{owned.name}"
                return moments.range(key, owned.start, owned.stop) if key in moments else None

            self._zero.load(read, position.optimiser_steps)
        if self._ema is not None:
            with latest.stored("ema") as stored:
                state = self._ema.state()
                self._fill(state, stored)
                self._ema.load(state, position.ema_updates)
        if self.leads:
            self._tally.counts[:] = np.array(position.routing, np.int64).reshape(self._tally.counts.shape)
            latest.copy_metrics(metrics)
        return position

    def _fill(self, tensors: dict[str, Tensor], stored: StoredTensors) -> None:
        """Put what was stored into tensors that are this rank's pieces."""
        rank = self._groups.rank
        starts = {one.name: one.start for one in self._gathering.every if rank in one.ranks}
        for name, tensor in tensors.items():
            start = starts.get(name, 0)
            flat = stored.range(name, start, start + tensor.numel())
            tensor.copy_(flat.view(tensor.shape))

    def keep(self, position: Position, metrics: Path) -> str:
        routing = self.routing()
        if self.leads:
            position.routing = routing
        tensors = {"model": self._ranges(self._first_tensors()), "optimiser": list[StoredRange]()}
        steps: dict[str, int] = {}
        for owned, moments, done in self._zero.state():
            steps[owned.name] = done
            shape = tuple(self._gathering.shape(owned.name))
            for moment, tensor in moments.items():
                stored = StoredRange(f"{moment}.{owned.name}", shape, owned.start, tensor)
                tensors["optimiser"].append(stored)
        if self._ema is not None:
            tensors["ema"] = self._ranges(self._ema.state())
            position.ema_updates = self._ema.updates
        return self._checkpoints.write(position, tensors, steps, metrics)

    def _ranges(self, tensors: dict[str, Tensor]) -> list[StoredRange]:
        mine, shape = self._gathering.mine, self._gathering.shape
        return [StoredRange(n, tuple(shape(n)), mine[n].start, t) for n, t in tensors.items()]

    def routing(self) -> Routing:
        counts = torch.from_numpy(self._tally.counts.copy())
        dist.all_reduce(counts, group=self._groups.patient)
        if not self.leads:
            counts.zero_()
        found: Routing = counts.tolist()
        return found

    def average(self) -> dict[str, Tensor] | None:
        if self._ema_decay is None:
            return None
        return self._gathering.whole({} if self._ema is None else self._ema.state())
