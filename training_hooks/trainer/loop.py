"""The training loop: batch, objective, clip, step, bias update, one line of metrics."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpusmill.pipelines.errors import CorpusmillError
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.model.balance import max_violation, update_bias
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.objective import Objective, objective
from corpusmill.training_hooks.trainer.optimiser import adamw, set_learning_rate
from corpusmill.training_hooks.trainer.schedule import Schedule

log = logging.getLogger("corpusmill.train")


@dataclass(frozen=True)
class Run:
    """Options of one run of the loop; see `Train` for what each means."""

    steps: int
    schedule: Schedule
    mtp_weight: float
    gamma: float
    alpha: float
    low_precision: bool
    log_every: int
    clip: float = 1.0


@contextlib.contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Deterministic kernels on a fixed number of threads inside; the process's own settings after."""
    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(strict_before)


def train(model: Transformer, loader: ShardLoader, run: Run, metrics: Path) -> list[dict[str, Any]]:
    """Train `model` in place; write one JSON line a step to `metrics` and return the same records.

    A step's `tokens` counts real targets from the start; losses are in nats. Raises CorpusmillError when
    the loss stops being a finite number.
    """
    optimiser = adamw(model)
    gates = model.gates()
    positions = loader.batch_size * loader.context
    records: list[dict[str, Any]] = []
    tokens_seen = 0
    last_log, last_tokens = time.perf_counter(), 0
    with metrics.open("w", encoding="utf-8") as file:
        for step in range(run.steps):
            batch = loader.batch(step)
            tokens_BW = torch.from_numpy(batch)
            rate = run.schedule.learning_rate((step + 1) * positions)
            set_learning_rate(optimiser, rate)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=run.low_precision):
                losses = objective(model, tokens_BW, tokens_BW != loader.pad_id, run.mtp_weight, run.alpha)
            optimiser.zero_grad(set_to_none=True)
            losses.total.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), run.clip)
            total = float(losses.total.detach())
            if not math.isfinite(total) or not math.isfinite(float(norm)):
                raise CorpusmillError(
                    f"step {step + 1}: loss {total} with gradient norm {float(norm)}; "
                    "lower the learning rate or lengthen the warm-up"
                )
            optimiser.step()
            for gate, load in zip(gates, losses.loads, strict=True):
                update_bias(gate.e_score_correction_bias, load, run.gamma)
            tokens_seen += int(losses.counted.sum())
            record = {
                "step": step + 1,
                "tokens": tokens_seen,
                "loss": float(losses.loss),
                "mtp_loss": float(losses.mtp),
                "balance_loss": float(losses.balance),
                "loss_by_source": _by_source(losses, loader, step),
                "gradient_norm": float(norm),
                "learning_rate": rate,
                "max_expert_violation": max((max_violation(load) for load in losses.loads), default=0.0),
            }
            file.write(json.dumps(record) + "\n")
            records.append(record)
            if (step + 1) % run.log_every == 0 or step + 1 == run.steps:
                now = time.perf_counter()
                speed = (tokens_seen - last_tokens) / max(now - last_log, 1e-9)
                log.info("step %d/%d: loss %.3f, %.0f tokens/s", step + 1, run.steps, record["loss"], speed)
                last_log, last_tokens = now, tokens_seen
    return records


def _by_source(losses: Objective, loader: ShardLoader, step: int) -> dict[str, float]:
    """Mean loss of each source's targets in this batch; sources without one are left out."""
    codes = loader.source_codes(step)[:, 1 : 1 + loader.context]
    counted = losses.counted.numpy() & (codes >= 0)
    codes, loss = codes[counted], losses.token_loss.numpy()[counted].astype(np.float64)
    totals = np.bincount(codes, weights=loss, minlength=len(loader.sources))
    counts = np.bincount(codes, minlength=len(loader.sources))
    return {
        name: float(total / count)
        for name, total, count in zip(loader.sources, totals, counts, strict=True)
        if count
    }
