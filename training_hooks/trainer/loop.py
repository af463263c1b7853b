"""The training loop: batch, step, one line of metrics, a checkpoint now and then; and going on from one."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import Interrupted, UserError
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.parameter_counts import flops_per_token
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode
from corpusmill.training_hooks.trainer.checkpoint import Checkpoint, Checkpoints, Position
from corpusmill.training_hooks.trainer.ema import Ema
from corpusmill.training_hooks.trainer.expert_load import RoutingTally, load_measures
from corpusmill.training_hooks.trainer.flops import measured_peak
from corpusmill.training_hooks.trainer.optimiser import adamw, load_optimiser_state, optimiser_state
from corpusmill.training_hooks.trainer.progress import Speedometer
from corpusmill.training_hooks.trainer.schedule import Schedule
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult, training_step
from corpusmill.training_hooks.trainer.stop import StopRequest, stop_when_asked

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
    """What `train` leaves beside the model: counts int64[layer][source][expert] of the last part's routing,
    real targets, and the averaged weights where they were asked for."""

    routing: list[list[list[int]]]
    tokens: int
    ema: dict[str, Tensor] | None


def train(
    model: Transformer,
    loader: ShardLoader,
    run: Run,
    metrics: Path,
    *,
    checkpoints: Checkpoints | None = None,
    watched: Path | None = None,
    look: Callable[[int], dict[str, Any]] | None = None,
) -> Trained:
    """Train `model` in place and write one JSON line a step to `metrics`.

    With `checkpoints`, goes on from the latest and leaves new ones; the end is the same bit for bit. A
    step's `tokens` counts real targets from the start; losses are in nats, null where a step has no target,
    and measures of load null where a layer received no token. `watched`: a folder in which progress is
    noted. `look` is called after every step with how many are done; what it gives joins the step's line. It
    may raise Interrupted, and is then called again when training goes on. Raises UserError naming the step
    where the loss stops being a finite number, and Interrupted on SIGTERM or SIGINT, after a checkpoint.
    """
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_when_asked())
        ema = None
        if run.ema_decay is not None:
            ema = stack.enter_context(Ema(model, run.ema_decay))
        state = _State(model, adamw(model, moments=run.moments), ema, loader, run)
        latest = checkpoints.latest() if checkpoints is not None else None
        if latest is not None:
            state.restore(latest, metrics)
            log.info("going on from step %d of %d", state.position.step, run.steps)
        file = stack.enter_context(metrics.open("a" if latest is not None else "w", encoding="utf-8"))
        _steps(state, file, metrics, checkpoints, watched, stop, look)
        return Trained(
            routing=state.tally.counts.tolist(),
            tokens=state.position.tokens,
            ema=ema.state() if ema is not None else None,
        )


@dataclass
class _State:
    """Everything that changes as training goes on."""

    model: Transformer
    optimiser: torch.optim.Optimizer
    ema: Ema | None
    loader: ShardLoader
    run: Run
    position: Position = field(default_factory=Position)

    def __post_init__(self) -> None:
        self.tally = RoutingTally(self.model, len(self.loader.sources))

    def restore(self, checkpoint: Checkpoint, metrics: Path) -> None:
        """Take up `checkpoint`, and put its lines into `metrics`."""
        self.position = checkpoint.position
        self.model.load_state_dict(checkpoint.tensors("model"))
        moments = checkpoint.tensors("optimiser")
        load_optimiser_state(self.model, self.optimiser, moments, self.position.optimiser_steps)
        if self.ema is not None:
            self.ema.load(checkpoint.tensors("ema"), self.position.ema_updates)
        self.tally.counts[:] = np.array(self.position.routing, np.int64).reshape(self.tally.counts.shape)
        shutil.copyfile(checkpoint.metrics, metrics)

    def save(self, checkpoints: Checkpoints, metrics: Path) -> Path:
        """Write a checkpoint of the present state."""
        moments, steps = optimiser_state(self.model, self.optimiser)
        self.position.optimiser_steps = steps
        self.position.routing = self.tally.counts.tolist()
        tensors = {"model": self.model.state_dict(), "optimiser": moments}
        if self.ema is not None:
            tensors["ema"] = self.ema.state()
            self.position.ema_updates = self.ema.updates
        return checkpoints.write(self.position, tensors, metrics)


def _steps(
    state: _State,
    file: TextIO,
    metrics: Path,
    checkpoints: Checkpoints | None,
    watched: Path | None,
    stop: StopRequest,
    look: Callable[[int], dict[str, Any]] | None,
) -> None:
    """The steps that are left."""
    run, loader, position = state.run, state.loader, state.position
    context = loader.context
    speed = _speedometer(state, watched)
    speed.start(position.sequences * context)
    due = _Due(run.checkpoint_every)

    def write_line(record: dict[str, Any]) -> None:
        position.line = json.dumps(record)
        if look is not None:
            try:
                record = record | look(position.step)
            except Interrupted as error:
                where = f"while the model was judged after step {position.step}"
                raise _interrupted(state, file, metrics, checkpoints, where) from error
        position.line = None
        file.write(json.dumps(record) + "\n")

    if position.line is not None:
        write_line(json.loads(position.line))
    remaining = islice(run.schedule.steps(context), position.step, run.steps)
    for step, (first, count) in enumerate(remaining, start=position.step):
        record = _one(state, step, first, count, stop)
        if record is None:
            raise _interrupted(state, file, metrics, checkpoints, f"in step {step + 1}")
        done = step + 1
        write_line(record)
        tell = done % run.log_every == 0 or done == run.steps
        speed.step(done, position.sequences * context, record["loss"], tell=tell)
        faultpoint("training-step")
        # After the last step too: judging may take long, and dies of a signal.
        if checkpoints is not None and due.now(done):
            file.flush()
            began = time.perf_counter()
            path = state.save(checkpoints, metrics)
            due.written(time.perf_counter() - began)
            log.info("checkpoint %s", path.name)
    if stop.asked:  # in the last step, too late for it: what comes after must not run on in spite of it
        raise _interrupted(state, file, metrics, checkpoints, "after its last step")


def _interrupted(
    state: _State, file: TextIO, metrics: Path, checkpoints: Checkpoints | None, where: str
) -> Interrupted:
    """The error that says so, once the state is kept."""
    kept = "run the same command to go on"
    if checkpoints is not None:
        file.flush()
        kept = f"its state after {state.position.step} steps is kept; {kept}"
        state.save(checkpoints, metrics)
    return Interrupted(f"training was stopped {where}: {kept}")


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
    batch = Batch(loader.sequences(first, count), loader.sequence_sources(first, count), loader.pad_id)
    tally = state.tally if step >= run.routing_from else None
    with tally.listening() if tally is not None else contextlib.nullcontext():
        before = tally.counts.copy() if tally is not None else None
        try:
            result = training_step(
                state.model,
                state.optimiser,
                batch,
                settings,
                sources=len(loader.sources),
                stop=stop,
                tally=tally,
            )
        except UserError as error:
            raise UserError(f"step {step + 1}: {error}") from error
    if result is None:
        if tally is not None and before is not None:
            tally.counts[:] = before
        return None
    if state.ema is not None:
        state.ema.update()
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
    run, context = state.run, state.loader.context
    device = state.model.embed_tokens.weight.device
    sequences = sum(count for _, count in islice(run.schedule.steps(context), run.steps))
    peak = run.peak or measured_peak(device, run.precision != "fp32")
    operations = flops_per_token(state.model.config, context)
    log.info("%.3g operations a token, at best %.3g a second", operations, peak)
    return Speedometer(operations, peak, run.steps, sequences * context, device, watched)


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
