"""The training loop: batch, step, one line of metrics, a checkpoint now and then; and going on from one."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import Interrupted, UserError
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.parameter_counts import flops_per_token
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints, Position
from corpusmill.training_hooks.trainer.expert_load import load_measures
from corpusmill.training_hooks.trainer.flops import measured_peak
from corpusmill.training_hooks.trainer.progress import Speedometer
from corpusmill.training_hooks.trainer.schedule import Schedule
from corpusmill.training_hooks.trainer.step import Settings, StepResult
from corpusmill.training_hooks.trainer.stop import StopRequest, stop_when_asked
from corpusmill.training_hooks.trainer.workers import Alone, Look, Workers

log = logging.getLogger("corpusmill.train")

# Without `checkpoint_every`: at least so many seconds apart, and this many times what writing one took.
APART_SECONDS = 60.0
APART_WRITES = 50.0
LAST_PART = 10  # the last tenth of the steps counts where each source's tokens are routed


@dataclass(frozen=True)
class Run:
    """Options of one run of the loop; see `Train` for what each means.

    `peak`: floating-point operations a second that utilisation is measured against, None to measure it.
    """

    steps: int
    schedule: Schedule
    alpha: float
    micro_batch: int
    precision: Mode = "fp32"
    moments: torch.dtype = torch.float32
    ema_decay: float | None = None
    log_every: int = 20
    checkpoint_every: int | None = None
    peak: float | None = None

    @property
    def routing_from(self) -> int:
        """The first step (from 0) whose routing is counted by source."""
        return self.steps - max(1, self.steps // LAST_PART)


@contextlib.contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Deterministic kernels on a fixed number of threads inside; the process's own settings after."""
    threads_before = torch.get_num_threads()
    mode_before = torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    # As `use_deterministic_algorithms(True)`, which imports the compiler too: two seconds, for nothing here.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)


@dataclass
class Trained:
    """What a training leaves beside the model: counts int64[layer][source][expert] of the last part's
    routing, real targets, the averaged weights where they were asked for, and the `layouts` it went through:
    of each the step it began after, and its sizes of pipeline, data and experts."""

    routing: list[list[list[int]]]
    tokens: int
    ema: dict[str, Tensor] | None
    layouts: list[list[int]]


def train(
    model: Transformer,
    loader: ShardLoader,
    run: Run,
    metrics: Path,
    *,
    checkpoints: Checkpoints | None = None,
    watched: Path | None = None,
    look: Look | None = None,
) -> Trained:
    """Train `model` in place, in this process: `train_with`."""
    workers = Alone(model, loader, moments=run.moments, ema_decay=run.ema_decay, checkpoints=checkpoints)
    with workers:
        return train_with(workers, loader, run, metrics, watched=watched, look=look)


def train_with(
    workers: Workers,
    loader: ShardLoader,
    run: Run,
    metrics: Path,
    *,
    watched: Path | None = None,
    look: Look | None = None,
) -> Trained:
    """Train the workers' model and write one JSON line a step to `metrics`.

    With checkpoints, goes on from the latest and leaves new ones; the end is the same bit for bit if the
    workers' layout is. A step's `tokens` counts real targets from the start; losses are in nats, null where a
    step has no target, and measures of load null where a layer received no token. `watched`: a folder in
    which progress is noted. What `look` gives joins the step's line. It may raise Interrupted, and is then
    called again when training goes on. Raises UserError naming the step where the loss stops being a finite
    number, and Interrupted on SIGTERM or SIGINT, after a checkpoint.
    """
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_when_asked())
        position = workers.take_up(metrics)
        if position is not None:
            log.info("going on from step %d of %d", position.step, run.steps)
        # Files are those of the rank that leads; the others write none.
        path = metrics if workers.leads else Path(os.devnull)
        file = stack.enter_context(path.open("w" if position is None else "a", encoding="utf-8"))
        state = _State(workers, loader, run, metrics, file, position or Position())
        _steps(state, watched, stop, look)
        return Trained(
            routing=workers.routing(),
            tokens=state.position.tokens,
            ema=workers.average(),
            layouts=state.position.layouts,
        )


@dataclass
class _State:
    """One training: who trains, on what, and where it stands."""

    workers: Workers
    loader: ShardLoader
    run: Run
    metrics: Path
    file: TextIO
    position: Position

    def __post_init__(self) -> None:
        layouts, now = self.position.layouts, list(self.workers.layout)
        if not layouts or layouts[-1][1:] != now:
            layouts.append([self.position.step, *now])

    def keep(self) -> str:
        """Write a checkpoint of the present state; its name."""
        self.file.flush()
        return self.workers.keep(self.position, self.metrics)

    def interrupted(self, where: str) -> Interrupted:
        """Keep the state, and return the error that tells where training was stopped."""
        kept = "run the same command to go on"
        if self.workers.keeps:
            kept = f"its state after {self.position.step} steps is kept; {kept}"
            self.keep()
        return Interrupted(f"training was stopped {where}: {kept}")

    def write_line(self, record: dict[str, Any], look: Look | None) -> None:
        """The line of the last step, once the model was judged where that is due."""
        position = self.position
        position.line = json.dumps(record)
        if look is not None:
            try:
                record = record | self.workers.look(look, position.step)
            except Interrupted as error:
                where = f"while the model was judged after step {position.step}"
                raise self.interrupted(where) from error
        position.line = None
        self.file.write(json.dumps(record) + "\n")


def _steps(state: _State, watched: Path | None, stop: StopRequest, look: Look | None) -> None:
    """The steps that are left."""
    run, position, workers = state.run, state.position, state.workers
    context = state.loader.context
    speed = _speedometer(state, watched) if workers.leads else None
    due = _Due(run.checkpoint_every)
    if position.line is not None:
        state.write_line(json.loads(position.line), look)
    remaining = islice(run.schedule.steps(context), position.step, run.steps)
    for step, (first, count) in enumerate(remaining, start=position.step):
        record = _one(state, step, first, count, stop)
        if record is None:
            raise state.interrupted(f"in step {step + 1}")
        done = step + 1
        state.write_line(record, look)
        if speed is not None:
            tell = done % run.log_every == 0 or done == run.steps
            speed.step(done, position.sequences * context, record["loss"], tell=tell)
        faultpoint("training-step")
        # After the last step too: judging may take long, and dies of a signal.
        if workers.keeps and workers.anyone(workers.leads and due.now(done)):
            began = time.perf_counter()
            name = state.keep()
            due.written(time.perf_counter() - began)
            log.info("checkpoint %s", name)
    # In the last step, too late for it: what comes after must not run on in spite of it.
    if workers.anyone(stop.asked):
        raise state.interrupted("after its last step")


def _one(state: _State, step: int, first: int, count: int, stop: StopRequest) -> dict[str, Any] | None:
    """Step number `step` on sequences `first` to `first + count - 1`: its line of metrics, or None, with
    nothing changed, where it was stopped."""
    run, loader, position = state.run, state.loader, state.position
    seen = (first + count) * loader.context
    settings = Settings(
        learning_rate=run.schedule.learning_rate(seen),
        gamma=run.schedule.bias_step(seen),
        mtp_weight=run.schedule.depth_weight(seen),
        alpha=run.alpha,
        micro_batch=run.micro_batch,
        precision=run.precision,
    )
    try:
        result = state.workers.step(first, count, settings, stop=stop, counted=step >= run.routing_from)
    except UserError as error:
        raise UserError(f"step {step + 1}: {error}") from error
    if result is None:
        return None
    position.step = step + 1
    position.sequences = first + count
    position.tokens += result.targets
    return _record(position, count, settings, result, loader)


def _record(
    position: Position, count: int, settings: Settings, result: StepResult, loader: ShardLoader
) -> dict[str, Any]:
    """One line of metrics."""
    measures = load_measures(result.loads)
    sums = zip(loader.sources, result.source_loss, result.source_targets, strict=True)
    return {
        "step": position.step,
        "tokens": position.tokens,
        "sequences": count,
        "loss": result.mean_loss,
        "mtp_loss": result.mean_mtp,
        "balance_loss": result.mean_balance,
        "loss_by_source": {name: float(total / n) for name, total, n in sums if n},
        "gradient_norm": result.norm,
        "learning_rate": settings.learning_rate,
        "gamma": settings.gamma,
        "mtp_weight": settings.mtp_weight,
        "max_expert_violation": max((v for v in measures["max_violation"] if v is not None), default=None),
        "experts": measures,
    }


def _speedometer(state: _State, watched: Path | None) -> Speedometer:
    """Started where the training stands. The peak is that of all workers' devices, alike."""
    run, workers, context = state.run, state.workers, state.loader.context
    sequences = sum(count for _, count in islice(run.schedule.steps(context), run.steps))
    device = workers.device
    peak = run.peak or measured_peak(device, run.precision != "fp32") * math.prod(workers.layout)
    operations = flops_per_token(workers.config, context)
    log.info("%.3g operations a token, at best %.3g a second", operations, peak)
    speed = Speedometer(operations, peak, run.steps, sequences * context, device, watched)
    speed.start(state.position.sequences * context)
    return speed


class _Due:
    """When the next checkpoint is due: every so many steps, or by the clock."""

    def __init__(self, every: int | None) -> None:
        self.every = every
        self.cost = 0.0
        self.since = time.perf_counter()

    def now(self, done: int) -> bool:
        """Whether to write one after `done` steps."""
        if self.every is not None:
            return done % self.every == 0
        return time.perf_counter() - self.since >= max(APART_SECONDS, APART_WRITES * self.cost)

    def written(self, seconds: float) -> None:
        """One was written, which took so long."""
        self.cost, self.since = seconds, time.perf_counter()
