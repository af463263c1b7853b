"""One rank of the check in `one_gpu.py`: trains with the others by one layout after the other.

    python gpu_ranks.py RANK RANKS FOLDER DEVICE

Rank 0 takes the same steps alone, and writes `ranks.json`: by layout the largest difference of a loss or a
gradient norm from those, and seconds of a step.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from corpusmill.training_hooks.distributed.group import joined
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.ranks_of_task import passes_of
from corpusmill.training_hooks.distributed.together import Together
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.loop import repeatable
from corpusmill.training_hooks.trainer.options import Parallel
from corpusmill.training_hooks.trainer.step import Settings
from corpusmill.training_hooks.trainer.stop import StopRequest
from corpusmill.training_hooks.trainer.training_task import prepare_torch
from corpusmill.training_hooks.trainer.workers import Alone

STEPS, ROWS, LENGTH, MICRO = 2, 8, 32, 2
SECONDS = {"cuda": 60.0, "cpu": 600.0}  # that a rank waits for the other; a rehearsal may share its processor
SETTINGS = Settings(
    learning_rate=1e-3, gamma=0.001, mtp_weight=0.3, alpha=1e-4, micro_batch=MICRO, precision="fp32"
)
Dispatch = Literal["exact", "fp8"]
Case = tuple[Parallel, Dispatch]


def config() -> ModelConfig:
    """Four layers, for as many stages."""
    return dataclasses.replace(preset("v3-tiny", 512, 1), num_hidden_layers=4)


def cases(ranks: int) -> dict[str, Case]:
    """What so many ranks can do, by name."""
    if ranks == 1:
        return {"one rank": (Parallel(), "exact")}
    pipelines: tuple[Literal["1f1b", "zb1p", "dualpipe", "dualpipev"], ...] = (
        "1f1b", "zb1p", "dualpipe", "dualpipev"
    )  # fmt: skip
    found: dict[str, Case] = {
        method: (Parallel(pipeline=ranks, schedule=method), "exact") for method in pipelines
    }
    return found | {
        "data": (Parallel(), "exact"),
        "experts": (Parallel(experts=ranks), "exact"),
        "experts, two levels": (Parallel(experts=ranks, nodes=ranks), "exact"),
        "experts in FP8": (Parallel(experts=ranks), "fp8"),
    }


class Rows:
    """In the place of a loader: random rows of one source."""

    sources, pad_id = ("random",), 0

    def sequences(self, start: int, count: int) -> Any:
        """Rows `start` and on, int64[count, LENGTH + 2]."""
        rows = [np.random.default_rng(start + n).integers(1, 512, LENGTH + 2) for n in range(count)]
        return np.array(rows, np.int64).reshape(count, LENGTH + 2)

    def sequence_sources(self, start: int, count: int) -> Any:
        """Their tokens' sources."""
        return np.zeros((count, LENGTH + 2), np.int64)


def steps(workers: Together | Alone) -> tuple[list[float], float]:
    """Losses and norms of all steps, and seconds of the last."""
    found, seconds = [], 0.0
    for step in range(STEPS):
        start = time.perf_counter()
        result = workers.step(step * ROWS, ROWS, SETTINGS, stop=StopRequest(), counted=False)
        assert result is not None
        found += [result.loss, result.mtp, result.norm]
        seconds = time.perf_counter() - start
    return found, seconds


def main(rank: int, ranks: int, folder: Path, kind: str) -> None:
    """Train by every layout, and alone on rank 0."""
    prepare_torch()
    torch.set_num_threads(1)
    device = torch.device("cuda", rank) if kind == "cuda" else torch.device("cpu")
    rows: Any = Rows()

    def fresh() -> Transformer:
        model = Transformer(config())
        initialise(model, 0, config().initial_std)
        return model.to(device)

    told: dict[str, dict[str, float]] = {}
    meeting = (folder / "meeting").absolute().as_uri()
    with repeatable(1), joined(meeting, rank, ranks, SECONDS[kind], device):
        wanted, _ = steps(Alone(fresh(), rows, moments=torch.float32, ema_decay=None, checkpoints=None))
        for name, (parallel, dispatch) in cases(ranks).items():
            layout = Layout.of(ranks, pipeline=parallel.pipeline, experts=parallel.experts)
            groups = Groups(layout, SECONDS[kind], device)
            passes = passes_of(fresh(), groups, parallel, dispatch, ROWS, MICRO, lambda part: part.to(device))
            together = Together(
                config(), passes, groups, rows, fresh,
                moments=torch.float32, ema_decay=None, checkpoints=None, keeps=False,
            )  # fmt: skip
            found, seconds = steps(together)
            off = max(abs(one / other - 1) for one, other in zip(found, wanted, strict=True))
            told[name] = {"off": off, "seconds": seconds}
    if rank == 0:
        (folder / "ranks.json").write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
