"""A gang of processes that do the cases of `training_ranks`, and what trainings leave in their folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import Interrupted
from corpusmill.training_hooks.trainer.checkpoint import open_checkpoint
from corpusmill.training_hooks.trainer.ranked_task import RankedTask
from corpusmill.training_hooks.trainer.workers import Alone
from tests.warm import Warm
from tests.warm_ranks import GANG

RANKS = 4
LIMIT = 900  # seconds that the gang may take before it is ended
DIED = 7  # exit code of the rank that dies


class Ranks:
    """What the gang left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def told(self, case: str, rank: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{case}.{rank}.json").read_text("utf-8"))
        return found


def run_ranks(training: Warm, module: str, folder: Path, ranks: int, limit: float, codes: list[int]) -> None:
    """Run `main(rank, folder)` of `module` in a process for each rank, and assert their exit codes. All are
    ended after `limit` seconds."""
    code = GANG.format(module=module, folder=str(folder), ranks=ranks, limit=limit)
    done = training.call(code=code, env={"GLOO_SOCKET_IFNAME": "lo"})
    assert done.returncode == 0, done.stderr
    logs = [folder / f"{rank}.log" for rank in range(ranks)]
    found = json.loads((folder / "codes.json").read_text("utf-8"))
    assert found == codes, "\n".join(log.read_text("utf-8", "replace")[-3000:] for log in logs)


def gang(training: Warm, folder: Path, cases: list[dict[str, Any]]) -> Ranks:
    """What `RANKS` processes leave that do `cases` in `folder`; the second dies in the last one."""
    (folder / "cases.json").write_text(json.dumps(cases), "utf-8")
    run_ranks(training, "tests.oracles.training_ranks", folder, RANKS, LIMIT, [0, DIED, 0, 0])
    return Ranks(folder)


def off(found: Tensor, wanted: Tensor) -> float:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    return float((found - wanted).double().norm() / wanted.double().norm().clamp(min=1e-12))


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


def worst(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    assert found.keys() == wanted.keys()
    return max(off(found[name], wanted[name]) for name in wanted)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def checkpoint(scratch: Path, step: int, name: str) -> dict[str, Tensor]:
    return open_checkpoint(scratch / "checkpoints" / f"step-{step:08d}").tensors(name)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def moments(scratch: Path, step: int, kind: str) -> dict[str, Tensor]:
    found = checkpoint(scratch, step, "optimiser")
    return {name: tensor for name, tensor in found.items() if name.startswith(f"{kind}.")}


def follows(found: list[dict[str, Any]], wanted: list[dict[str, Any]], *, rel: float) -> None:
    """Lines of metrics that differ in round-off alone."""
    assert [line["step"] for line in found] == list(range(1, len(wanted) + 1))
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for name in ("tokens", "sequences", "learning_rate", "gamma", "mtp_weight", "experts"):
            assert mine[name] == theirs[name], name
        for name in ("loss", "mtp_loss", "balance_loss", "loss_by_source", "gradient_norm"):
            assert mine[name] == pytest.approx(theirs[name], rel=rel), (mine["step"], name)
        assert ("held_out" in mine) == (mine["step"] % 5 == 0)
        assert mine.get("held_out", {}) == pytest.approx(theirs.get("held_out", {}), rel=rel)


def in_one_process(
    stage: RankedTask,
    inputs: dict[str, list[Path]],
    folder: Path,
    scratch: Path,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """The summary of one process; nothing where it was stopped after so many steps."""
    folder.mkdir()
    scratch.mkdir(exist_ok=True)
    done = 0
    step = Alone.step

    def stopped(self: Alone, *given: Any, **named: Any) -> Any:
        nonlocal done
        named["stop"].asked = done == stop_after
        done += 1
        return step(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Alone, "step", stopped)
        if stop_after is None:
            return stage.resume(inputs, folder, scratch)
        with pytest.raises(Interrupted):
            stage.resume(inputs, folder, scratch)
        return {}
