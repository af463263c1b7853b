"""One of four ranks that run the passes of a pipeline, as a process: `main(RANK, FOLDER)`.

Every case is a step of one batch: gradients, losses, loads and routing of this rank go into the folder. At
the end the last rank hangs in a forward pass, then dies in one, and the others tell what that raises.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.distributed.executor import PassError
from corpusmill.training_hooks.distributed.group import local_group
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout, Place
from corpusmill.training_hooks.distributed.measured_step import measured_step
from corpusmill.training_hooks.distributed.node_groups import most_nodes, node_hops
from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.passes import with_padding_rows
from corpusmill.training_hooks.distributed.pieces import WholeModel
from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses
from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.distributed.two_level import TwoLevel
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.trainer.expert_load import RoutingTally
from corpusmill.training_hooks.trainer.objective import BatchCounts
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult
from tests.oracles.expert_parallel_ranks import CONFIG as SMALL

# Small enough that FP32's rounding, added up over eight layers, stays under a millionth.
CONFIG = replace(SMALL, num_hidden_layers=8, initializer_range=0.07)
RANKS, ROWS, LENGTH, SOURCES, PAD = 4, 11, 12, 3, 0
SETTINGS = Settings(
    learning_rate=0.0, gamma=0.01, mtp_weight=0.3, alpha=0.01, micro_batch=3, precision="fp32"
)


@dataclass(frozen=True)
class Case:
    """A layout and a schedule; of four ranks, those of a layout of two run it twice. `levels`: experts lie on
    two nodes, and rows are dispatched in two levels."""

    pipeline: int
    experts: int
    method: str
    recomputes: bool = False
    levels: bool = False

    @property
    def name(self) -> str:
        again = "-recompute" * self.recomputes + "-levels" * self.levels
        return f"{self.pipeline}x{self.experts}-{self.method}{again}"


CASES = [
    *(Case(4, 1, method) for method in ("1f1b", "zb1p", "dualpipe", "dualpipev")),
    *(Case(2, 1, method) for method in ("1f1b", "zb1p", "dualpipe", "dualpipev")),
    *(Case(2, 2, method) for method in ("zb1p", "dualpipe", "dualpipev")),
    Case(2, 2, "dualpipe", recomputes=True),
    Case(2, 2, "dualpipe", levels=True),
    Case(1, 4, "dualpipev"),
    Case(1, 4, "dualpipev", levels=True),
]
TWICE = ("4x1-dualpipev", "2x2-dualpipe")  # run again, and again without passes side by side


def batch() -> Batch:
    """Every third row ends in padding, and one is nothing else."""
    draws = np.random.default_rng(5)
    tokens = draws.integers(1, CONFIG.vocab_size, (ROWS, LENGTH + 2))
    tokens[::3, 9:] = PAD
    tokens[4] = PAD
    codes = np.where(tokens == PAD, -1, draws.integers(0, SOURCES, (ROWS, 1)))
    return Batch(tokens, codes, PAD)


def counts() -> BatchCounts:
    """Of the whole batch."""
    return BatchCounts.of(torch.from_numpy(batch().tokens != PAD), CONFIG.num_nextn_predict_layers)


def told(result: StepResult, tally: RoutingTally) -> dict[str, Any]:
    """What a step gives beside gradients, as JSON."""
    return {
        "losses": [result.loss, result.mtp, result.balance, result.targets],
        "sources": [result.source_loss.tolist(), result.source_targets.tolist()],
        "loads": [load.tolist() for load in result.loads],
        "tally": tally.counts.tolist(),
    }


def rows_of(case: Case, place: Place) -> Batch:
    """The rows of a rank that stands there, as many as others have."""
    layout, whole = Layout(case.pipeline, 1, case.experts), batch()
    mine = layout.rows(ROWS, place)
    return with_padding_rows(Batch(whole.tokens[mine], whole.codes[mine], PAD), layout.most_rows(ROWS))


class Ranks:
    """The passes of this process for every case."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.groups = cache(Groups)
        self.pair = Channels([(0, 1), (2, 3)], 60.0)

    def passes(self, case: Case, *, side_by_side: bool = True) -> tuple[PipelinedPasses, Batch]:
        """The part of this rank with its weights, and its rows."""
        pipeline = Pipeline(CONFIG, case.method, case.pipeline)
        experts = back = None
        if case.pipeline * case.experts == RANKS:
            groups = self.groups(Layout(case.pipeline, 1, case.experts))
            channels, experts, back = groups.channels, groups.experts, groups.experts_back
            place = groups.place
        else:
            channels = self.pair
            place = Place(channels.rank, 0, 0)
        part = Part(CONFIG, pipeline.of_rank(channels.rank))
        initialise(part, 1, CONFIG.initial_std)
        if case.recomputes:
            recompute(part)
        way = None
        if case.levels:
            way = TwoLevel(node_hops(groups.sharers, 2, apart=True), most=most_nodes(CONFIG, 2))
        passes = PipelinedPasses(part, pipeline, channels, experts, back, way=way, side_by_side=side_by_side)
        return passes, rows_of(case, place)

    def step(self, case: Case, *, side_by_side: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Gradients by name, and what else the step gives."""
        passes, rows = self.passes(case, side_by_side=side_by_side)
        gates = WholeModel.of(CONFIG).gates
        tally = RoutingTally.of_part(passes.part, gates, CONFIG, SOURCES)
        with tally.listening():
            result = passes.run(rows, counts(), SETTINGS, sources=SOURCES, tally=tally)
        assert passes.last is not None
        assert len(passes.last.spans) == len(passes.last.schedule.actions[passes.rank])
        gradients = {}
        for name, parameter in passes.part.named_parameters():
            assert parameter.grad is not None, name
            gradients[name] = parameter.grad
        return gradients, told(result, tally)

    def measured(self, case: Case) -> Any:
        """A step as all ranks ran it, as JSON."""
        passes, rows = self.passes(case)
        passes.run(rows, counts(), SETTINGS, sources=SOURCES)
        assert passes.last is not None
        ranks = dist.group.WORLD
        assert ranks is not None
        return measured_step(passes.last, ranks).spans

    def lost(self, fail: Callable[[], object], seconds: float) -> str:
        """What a step raises in which the last rank fails in its third forward pass; `seconds`: how long the
        others wait for it."""
        pipeline = Pipeline(CONFIG, "dualpipe", RANKS)
        part = Part(CONFIG, pipeline.of_rank(self.rank))
        initialise(part, 1, CONFIG.initial_std)
        if self.rank == RANKS - 1:
            gate = next(module for module in part.modules() if isinstance(module, Gate))
            calls = count(1)
            gate.register_forward_hook(lambda *_: fail() if next(calls) == 3 else None)
        passes = PipelinedPasses(part, pipeline, Channels([range(RANKS)], seconds))
        try:
            passes.run(batch(), counts(), SETTINGS, sources=SOURCES)
        except PassError as error:
            return str(error)
        return "nothing"


def wait_for(files: Sequence[Path]) -> None:
    """Until all are there."""
    while not all(file.exists() for file in files):
        time.sleep(0.01)


def same(one: tuple[dict[str, Tensor], Any], two: tuple[dict[str, Tensor], Any]) -> bool:
    """Whether two steps gave the same bits."""
    equal = one[0].keys() == two[0].keys() and all(torch.equal(one[0][n], two[0][n]) for n in one[0])
    return equal and one[1] == two[1]


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    kept: dict[str, Tensor] = {}
    found: dict[str, Any] = {}
    with local_group(folder / "meeting", rank, RANKS, seconds=60):
        ranks = Ranks(rank)
        for case in CASES:
            step = ranks.step(case)
            kept |= {f"{case.name}/{name}": tensor for name, tensor in step[0].items()}
            found[case.name] = dict(step[1])
            if case.name in TWICE:
                found[case.name]["repeats"] = same(step, ranks.step(case))
                found[case.name]["as one by one"] = same(step, ranks.step(case, side_by_side=False))
        found["measured"] = ranks.measured(Case(RANKS, 1, "dualpipe"))
        save_file(kept, folder / f"{rank}.safetensors")
        (folder / f"{rank}.json").write_text(json.dumps(found), "utf-8")
        files = [folder / f"{other}.hangs" for other in range(RANKS - 1)]
        error = ranks.lost(lambda: wait_for(files), seconds=3)
        (folder / f"{rank}.hangs").write_text(error, "utf-8")
        dist.barrier()
        error = ranks.lost(lambda: os._exit(7), seconds=60)
        (folder / f"{rank}.dies").write_text(error, "utf-8")
