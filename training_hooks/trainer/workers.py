"""Who trains: one process, or ranks that do so together. The loop is the same for both.

Every rank runs the loop. What it does alike on all of them (steps, positions, errors of the loss) needs no
word; for the rest it asks `leads` and `anyone`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints, Position
from corpusmill.training_hooks.trainer.ema import Ema
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.optimiser import adamw, load_optimiser_state, optimiser_state
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult, training_step
from corpusmill.training_hooks.trainer.stop import StopRequest

Routing = list[list[list[int]]]


@dataclass(frozen=True)
class Look:
    """Judging the model on the way: whether it is `due` after so many steps, and what it finds then, for that
    step's line of metrics."""

    due: Callable[[int], bool]
    at: Callable[[int, Transformer], dict[str, Any]]


class Workers(Protocol):
    """One rank's view of all. `leads`: whether this rank writes metrics, progress and files. `layout`: sizes
    of pipeline, data and experts; `device` of this rank. All but the properties is called by every rank
    together. A context manager that ends what works beside the training."""

    config: ModelConfig
    leads: bool
    layout: tuple[int, int, int]
    device: torch.device
    keeps: bool  # whether there are checkpoints

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def step(
        self, first: int, count: int, settings: Settings, *, stop: StopRequest, counted: bool
    ) -> StepResult | None:
        """Train on sequences `first` to `first + count - 1`; None, with nothing changed, where any rank was
        asked to stop before. `counted`: note the routing by source. Raises UserError as `training_step`."""

    def anyone(self, asked: bool) -> bool:
        """Whether `asked` is true of any rank. Ranks wait for the last as long as it takes."""

    def look(self, look: Look, done: int) -> dict[str, Any]:
        """What a look due after `done` steps finds, for the rank that leads; nothing where none is due.
        Raises Interrupted, on all ranks, where judging was stopped."""

    def whole_model(self) -> Transformer | None:
        """The model as it is now, on the rank that leads; None on others."""

    def take_up(self, metrics: Path) -> Position | None:
        """Go on from the latest checkpoint: its position, and its lines in `metrics`; None without any."""

    def keep(self, position: Position, metrics: Path) -> str:
        """Write a checkpoint; its name."""

    def routing(self) -> Routing:
        """Counts int64[layer][source][expert] of all ranks; on others than that which leads, zeros."""

    def pipeline(self) -> dict[str, Any]:
        """What the summary tells of the pipeline that the last step went through (`PipelineUsed`); nothing
        without one. The log of the rank that leads tells how long ranks waited in it."""

    def average(self) -> dict[str, Tensor] | None:
        """Averaged weights of the whole model, where they were asked for, on the rank that leads."""


class Alone:
    """One process that trains `model`."""

    def __init__(
        self,
        model: Transformer,
        loader: ShardLoader,
        *,
        moments: torch.dtype,
        ema_decay: float | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.model, self.loader, self.checkpoints = model, loader, checkpoints
        self.config, self.leads, self.layout = model.config, True, (1, 1, 1)
        self.device, self.keeps = model.embed_tokens.weight.device, checkpoints is not None
        self.optimiser = adamw(model, moments=moments)
        self.ema = None if ema_decay is None else Ema(model, ema_decay)
        self.tally = RoutingTally(model, len(loader.sources))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.ema is not None:
            self.ema.close()

    def step(
        self, first: int, count: int, settings: Settings, *, stop: StopRequest, counted: bool
    ) -> StepResult | None:
        loader = self.loader
        batch = Batch(loader.sequences(first, count), loader.sequence_sources(first, count), loader.pad_id)
        tally = self.tally if counted else None
        with tally.listening() if tally is not None else contextlib.nullcontext():
            before = tally.counts.copy() if tally is not None else None
            result = training_step(
                self.model,
                self.optimiser,
                batch,
                settings,
                sources=len(loader.sources),
                stop=stop,
                tally=tally,
            )
        if result is None:
            if tally is not None and before is not None:
                tally.counts[:] = before
            return None
        if self.ema is not None:
            self.ema.update()
        return result

    def anyone(self, asked: bool) -> bool:
        return asked

    def look(self, look: Look, done: int) -> dict[str, Any]:
        return look.at(done, self.model) if look.due(done) else {}

    def whole_model(self) -> Transformer | None:
        return self.model

    def take_up(self, metrics: Path) -> Position | None:
        latest = self.checkpoints.latest() if self.checkpoints is not None else None
        if latest is None:
            return None
        position = latest.position
        self.model.load_state_dict(latest.tensors("model"))
        load_optimiser_state(
            self.model, self.optimiser, latest.tensors("optimiser"), position.optimiser_steps
        )
        if self.ema is not None:
            self.ema.load(latest.tensors("ema"), position.ema_updates)
        self.tally.counts[:] = np.array(position.routing, np.int64).reshape(self.tally.counts.shape)
        latest.copy_metrics(metrics)
        return position

    def keep(self, position: Position, metrics: Path) -> str:
        assert self.checkpoints is not None
        moments, position.optimiser_steps = optimiser_state(self.model, self.optimiser)
        position.routing = self.routing()
        tensors = {"model": self.model.state_dict(), "optimiser": moments}
        if self.ema is not None:
            tensors["ema"] = self.ema.state()
            position.ema_updates = self.ema.updates
        return self.checkpoints.write(position, tensors, metrics).name

    def pipeline(self) -> dict[str, Any]:
        return {}

    def routing(self) -> Routing:
        found: Routing = self.tally.counts.tolist()
        return found

    def average(self) -> dict[str, Tensor] | None:
        return None if self.ema is None else self.ema.state()
