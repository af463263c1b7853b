"""Ranks of trainings, as processes that do one case after another: `main(RANK, FOLDER)`.

FOLDER has `cases.json`: of each case its name, options of `Train` (of `ExtendContext` where it has a
`model`), seed, ranks, shards, the scratch folder by name, after how many steps the last rank is asked to stop
(`stop_after`), and in the checkpoint of which step it dies (`dies_at`), if at all. A rank takes part in those
that have as many ranks. It leaves `<case>.<rank>.json`: the summary, or what was raised; bytes of the
optimiser's state after each step; samples of its own in each step (first, count).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.training_hooks.distributed import sharded_checkpoint
from corpusmill.training_hooks.distributed.group import local_group, require_own_gpu
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.pieces import Piece, Range
from corpusmill.training_hooks.distributed.together import Together
from corpusmill.training_hooks.distributed.zero import ShardedAdamW
from corpusmill.training_hooks.extend_context import ExtendContext
from corpusmill.training_hooks.launch.work import Meeting
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer import flops
from corpusmill.training_hooks.trainer.checkpoint import write_file
from corpusmill.training_hooks.trainer.optimiser import adamw, set_learning_rate

RANKS = 4
SECONDS = 900.0  # that a rank waits for another, which may still be busy with a case of its own


def do(case: dict[str, Any], rank: int, folder: Path) -> dict[str, Any]:
    """The part of one rank in one case."""
    name = case["name"]
    told: dict[str, Any] = {"bytes": [], "rows": []}
    last, done, lately = rank == case["ranks"] - 1, 0, [0, 0]
    step, update, read, write = Together.step, ShardedAdamW.step, ShardLoader.sequences, write_file

    def noted(self: ShardedAdamW, rate: float, factor: float) -> None:
        update(self, rate, factor)
        told["bytes"].append(self.state_bytes())

    def stopped(self: Together, *given: Any, **named: Any) -> Any:
        nonlocal done
        if last and done == case.get("stop_after"):
            named["stop"].asked = True  # as a signal would, at one rank alone
        done += 1
        result = step(self, *given, **named)
        if result is not None:  # trained on, not only read
            told["rows"].append(lately)
        return result

    def counted(self: ShardLoader, start: int, count: int) -> Any:
        nonlocal lately
        lately = [start, count]
        return read(self, start, count)

    def killed(*given: Any) -> Any:
        if last and done == case.get("dies_at"):
            os._exit(7)
        return write(*given)

    with (
        patch.object(Together, "step", stopped),
        patch.object(ShardedAdamW, "step", noted),
        patch.object(ShardLoader, "sequences", counted),
        patch.object(sharded_checkpoint, "write_file", killed),
    ):
        try:
            out, scratch = folder / name, folder / case["scratch"]
            meeting = Meeting((folder / f"{name}.meeting").absolute().as_uri(), rank, case["ranks"], SECONDS)
            kind = ExtendContext if "model" in case else Train
            stage = kind(**case["options"], ranks=case["ranks"]).prepare(Context(seed=case["seed"]))
            inputs = {"shards": [Path(path) for path in case["shards"]]}
            if "model" in case:
                inputs["model"] = [Path(case["model"])]
            told["summary"] = stage.train_rank(meeting, inputs, out, scratch)
        except (CorpusmillError, RuntimeError) as error:
            told["error"] = f"{type(error).__name__}: {error}"
    return told


def shared_updates(rank: int, folder: Path) -> dict[str, bool]:
    """Whether two ranks that share out an update, in buckets that cut tensors, come to the bits of AdamW on
    the whole tensors and the sum of the gradients."""
    same = {}
    with local_group(folder / "updates.meeting", rank, 2, SECONDS):
        groups = Groups(Layout(data=2))
        for weights, moments in (("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "float32")):
            draws = torch.Generator().manual_seed(5)
            kind, sizes = getattr(torch, weights), {"matrix": (37, 19), "vector": (23,), "table": (5, 7, 11)}
            first = {name: torch.randn(size, generator=draws).to(kind) for name, size in sizes.items()}
            mine, whole = (
                {name: torch.nn.Parameter(tensor.clone()) for name, tensor in first.items()} for _ in range(2)
            )
            every = [Range(name, 0, p.numel(), (0, 1)) for name, p in mine.items()]
            pieces = [Piece(one, mine[one.name]) for one in every]
            dtype = getattr(torch, moments)
            shared = ShardedAdamW(pieces, groups, ["matrix", "table"], moments=dtype, bucket=100)
            alone = adamw(torch.nn.ParameterDict(whole), moments=dtype)
            set_learning_rate(alone, 0.01)
            for _ in range(3):
                for name, parameter in mine.items():
                    both = [torch.randn(parameter.shape, generator=draws) for _ in range(2)]
                    parameter.grad_dtype = whole[name].grad_dtype = torch.float32
                    parameter.grad, whole[name].grad = both[rank], (both[0] + both[1]) * 0.5
                shared.reduce()
                shared.step(0.01, 0.5)
                alone.step()
            equal = all(torch.equal(mine[name], whole[name]) for name in sizes)
            same[f"{weights} weights, {moments} moments"] = equal and not torch.equal(
                mine["vector"], first["vector"]
            )
    return same


def gpus_compared(rank: int, folder: Path) -> list[str]:
    """What each rank is told where they have their own GPUs, and where the last two share one."""
    told = []
    with local_group(folder / "gpus.meeting", rank, RANKS, SECONDS):
        for own in (rank, min(rank, RANKS - 2)):
            try:
                require_own_gpu(f"GPU-{own}")
                told.append("")
            except UserError as error:
                told.append(str(error))
    return told


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    flops.SIZE["cpu"] = 64
    (folder / f"gpus.{rank}.json").write_text(json.dumps({"told": gpus_compared(rank, folder)}), "utf-8")
    if rank < 2:
        (folder / f"updates.{rank}.json").write_text(json.dumps(shared_updates(rank, folder)), "utf-8")
    for case in json.loads((folder / "cases.json").read_text("utf-8")):
        if rank < case["ranks"]:
            told = do(case, rank, folder)
            (folder / f"{case['name']}.{rank}.json").write_text(json.dumps(told), "utf-8")
