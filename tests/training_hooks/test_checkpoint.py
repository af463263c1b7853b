"""Checkpoints: exact resume, atomic writes, kills in the middle of a write, damage, stops."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from corpusmill.pipelines.contract.errors import Interrupted
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.contract.unit_progress import UnitProgress, read_progress
from corpusmill.training_hooks.evaluation import evaluate
from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer import loop
from corpusmill.training_hooks.trainer.checkpoint import Checkpoints, Position
from corpusmill.training_hooks.trainer.objective import objective
from tests.oracles.training_held_out import write_documents
from tests.oracles.training_shards import PAD, chain_language, write_rows
from tests.warm import Warm

OPTIONS: dict[str, Any] = {  # routing is counted by source in the last two of its steps, see `last_part`
    "steps": 11, "batch_size": 4, "micro_batch_size": 2, "context": 16, "learning_rate": 0.01, "threads": 1,
    "schedule": "report", "moments": "bf16", "ema": 0.9, "checkpoint": {"every": 2, "keep": 2},
    "peak_tflops": 1.0, "log_every": 3,
}  # fmt: skip
LAST_PART = 5  # in place of 10: the part of a run that routing is counted in, so that short runs have two


@pytest.fixture(autouse=True)
def last_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LAST_PART", LAST_PART)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    first, second = chain_language(60, 64, 0), chain_language(60, 64, 1)
    second[:, 50:] = PAD
    return [write_rows(folder / "0.arrow", first), write_rows(folder / "1.arrow", second)]


def stage(**options: Any) -> Train:
    return Train(**{**OPTIONS, **options}).prepare(Context(seed=3))


def attempt(shards: list[Path], base: Path, number: int, **options: Any) -> Path:
    folder = base / f"attempt-{number}"
    folder.mkdir(parents=True)
    (base / "scratch").mkdir(exist_ok=True)
    stage(**options).resume({"shards": shards}, folder, base / "scratch")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def names(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "scratch" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def calm(shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run that nobody disturbs, and that keeps nothing, leaves."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patch:  # before `last_part`
        patch.setattr(loop, "LAST_PART", LAST_PART)
        stage().run({"shards": shards}, folder)
    found = digests(folder)
    assert set(found) == {
        "config.json",
        "ema.safetensors",
        "evaluation.json",
        "metrics.jsonl",
        "model.safetensors",
        "routing.json",
    }
    return found


# Without torch's compiler, which training has no use for and which takes two seconds.
KILLED = """
import sys
from pathlib import Path
sys.modules["torch._dynamo"] = None
from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer import loop
loop.LAST_PART = {last_part}
stage = Train(**{options!r}).prepare(Context(seed=3))
shards = [Path(path) for path in {shards!r}]
stage.resume({{"shards": shards}}, Path({folder!r}), Path({scratch!r}))
raise SystemExit(0)
"""


def test_kills_change_nothing(
    shards: list[Path], calm: dict[str, str], tmp_path: Path, training: Warm
) -> None:
    """SIGKILL in the middle of writing a checkpoint, before an old one is removed, and in a step.

    Each attempt goes on from what the killed one before it left. A fault point kills its process group."""
    base = tmp_path / "killed"
    (base / "scratch").mkdir(parents=True)
    kills = {
        "checkpoint-before-rename:1": ([], 1),
        "checkpoint-between-files:5": (["step-00000002"], 1),
        "checkpoint-after-rename:2": (["step-00000002", "step-00000004", "step-00000006"], 0),
        "training-step:4": (["step-00000006", "step-00000008"], 0),
    }
    for number, (point, (kept, unfinished)) in enumerate(kills.items()):
        folder = base / f"killed-{number}"
        folder.mkdir()
        code = KILLED.format(
            last_part=LAST_PART, options=OPTIONS, shards=[str(path) for path in shards],
            folder=str(folder), scratch=str(base / "scratch"),
        )  # fmt: skip
        done = training.call(env={"CORPUSMILL_FAULTPOINT": point}, code=code)
        assert done.returncode == -signal.SIGKILL, (point, done.stderr)
        left = names(base)
        assert [name for name in left if name.startswith("step-")] == kept, point
        assert len(left) == len(kept) + unfinished, point
    assert digests(attempt(shards, base, 2)) == calm
    assert names(base) == ["step-00000008", "step-00000010"]


def test_sigterm_leaves_a_checkpoint_of_the_very_step(
    shards: list[Path], calm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes in the first of the last step's two pieces: that step alone is done again."""
    plan = stage()._run(context=16).schedule.steps(16)
    last = sum(-(-count // 2) for _, count in islice(plan, 11)) - 1
    pieces = 0

    def counted(*given: Any) -> Any:
        nonlocal pieces
        pieces += 1
        if pieces == last:
            os.kill(os.getpid(), signal.SIGTERM)
        return objective(*given)

    monkeypatch.setattr("corpusmill.training_hooks.trainer.step.objective", counted)
    base = tmp_path / "stopped"
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with pytest.raises(Interrupted, match="its state after 10 steps is kept"):
            attempt(shards, base, 1, checkpoint={"every": 100, "keep": 1})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert names(base) == ["step-00000010"]
    held = (base / "scratch" / "checkpoints" / "step-00000010" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in held] == list(range(1, 11))
    pieces = 1000
    assert digests(attempt(shards, base, 2, checkpoint={"every": 100, "keep": 1})) == calm


def test_a_stop_while_the_model_is_judged(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a step in the middle or the last: that step's line waits for another look, even where that one is
    stopped as well."""
    held_out = write_documents(tmp_path / "h.arrow", chain_language(12, 64, 5), split="held_out")
    given = [*shards, held_out]
    options: dict[str, Any] = {"steps": 4, "evaluate": {"every": 2}, "checkpoint": {"every": 100}}
    monkeypatch.setattr(evaluate, "BATCH_TOKENS", 12 * 64 // 2)  # two batches a look
    calm = digests(attempt(given, tmp_path / "calm", 1, **options))
    batches = {"done": 0, "fatal": 0}

    def counted(*arguments: Any) -> Any:
        batches["done"] += 1
        if batches["done"] == batches["fatal"]:
            os.kill(os.getpid(), signal.SIGTERM)
        return head_cross_entropy(*arguments)

    monkeypatch.setattr(evaluate, "head_cross_entropy", counted)
    for step in (2, 4):
        batches.update(done=0, fatal=step - 1)
        base = tmp_path / f"stopped-{step}"
        before = signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            for number in (1, 2):
                with pytest.raises(
                    Interrupted, match=f"judged after step {step}: its state after {step} steps"
                ):
                    attempt(given, base, number, **options)
                assert names(base) == [f"step-{step:08d}"]
                batches.update(done=0, fatal=1)
        finally:
            signal.signal(signal.SIGTERM, before)
        batches["fatal"] = 0
        last = attempt(given, base, 3, **options)
        assert digests(last) == calm
        lines = [json.loads(line) for line in (last / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "held_out" in line] == [2, 4]


def test_sigterm_in_the_last_piece_of_all_is_not_forgotten(
    shards: list[Path], calm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too late to stop a step, but judging the model is not begun: the whole training is kept."""
    plan = stage()._run(context=16).schedule.steps(16)
    last = sum(-(-count // 2) for _, count in islice(plan, 11))
    pieces = 0

    def counted(*given: Any) -> Any:
        nonlocal pieces
        pieces += 1
        if pieces == last:
            os.kill(os.getpid(), signal.SIGTERM)
        return objective(*given)

    monkeypatch.setattr("corpusmill.training_hooks.trainer.step.objective", counted)
    base = tmp_path / "stopped"
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with pytest.raises(Interrupted, match="after its last step: its state after 11 steps is kept"):
            attempt(shards, base, 1, checkpoint={"every": 100})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert pieces == last
    assert names(base) == ["step-00000011"]
    assert digests(attempt(shards, base, 2, checkpoint={"every": 100})) == calm
    assert pieces == last


def test_every_step_can_be_resumed_from(shards: list[Path], calm: dict[str, str], tmp_path: Path) -> None:
    base = tmp_path / "all"
    one = {"every": 1, "keep": 100}
    assert digests(attempt(shards, base, 0, checkpoint=one)) == calm
    assert names(base) == [f"step-{n:08d}" for n in range(1, 12)]
    for number in (11, 10, 1):
        for later in range(number + 1, 12):
            target = base / "scratch" / "checkpoints" / f"step-{later:08d}"
            if target.exists():
                target.rename(tmp_path / f"gone-{number}-{later}")
        assert digests(attempt(shards, base, 100 + number, checkpoint={"every": 100})) == calm
    assert read_progress(base / "scratch") is not None


def test_damage_is_told_and_gone(
    shards: list[Path], calm: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = tmp_path / "damaged"
    attempt(shards, base, 1, checkpoint={"every": 2, "keep": 3})
    folder = base / "scratch" / "checkpoints"
    weights = folder / "step-00000010" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    (folder / "step-00000008" / "optimiser.safetensors").write_bytes(b"")
    (folder / "step-00000099").mkdir()
    with caplog.at_level(logging.WARNING, "corpusmill.train"):
        assert digests(attempt(shards, base, 2)) == calm
    said = "\n".join(caplog.messages)
    assert "step-00000010/model.safetensors: its bytes changed" in said
    assert "step-00000008/optimiser.safetensors: missing or of another size" in said
    assert "step-00000099/state.json: missing" in said
    assert names(base) == ["step-00000008", "step-00000010"]


def changed_digit(state: Path) -> None:
    """One bit of a number: still JSON, of the right keys and types."""
    text = state.read_text()
    assert text.count('"sequences": 40') == 1
    state.write_text(text.replace('"sequences": 40', '"sequences": 41'))


def forgotten(state: Path) -> None:
    content = json.loads(state.read_text())
    content["files"] = {}
    state.write_text(json.dumps(content))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "no state": lambda c: (c / "state.json").unlink(),
    "an empty state": lambda c: (c / "state.json").write_bytes(b""),
    "half a state": lambda c: (c / "state.json").write_bytes((c / "state.json").read_bytes()[:99]),
    "a state of nothing": lambda c: (c / "state.json").write_text("{}"),
    "a state that is a list": lambda c: (c / "state.json").write_text("[]"),
    "a state in no encoding": lambda c: (c / "state.json").write_bytes(b"\xff\xfe{}"),
    "a changed digit": lambda c: changed_digit(c / "state.json"),
    "files that are not listed": lambda c: forgotten(c / "state.json"),
    "no tensors": lambda c: (c / "model.safetensors").unlink(),
    "half of the tensors": lambda c: os.truncate(c / "model.safetensors", 50),
    "tensors and more": lambda c: os.truncate(c / "model.safetensors", 5000),
    "lines that changed": lambda c: (c / "metrics.jsonl").write_text("{ }\n"),
    "no lines": lambda c: (c / "metrics.jsonl").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_of_every_kind_falls_back_on_the_one_before(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("{}\n\n")
    kept = Checkpoints(tmp_path / "c", "run", 3)
    for number in (3, 4):
        position = Position(step=number, sequences=10 * number, tokens=7, optimiser_steps={"w": number})
        kept.write(position, {"model": {"w": torch.full((2, 2), number)}}, metrics)
    found = kept.latest()
    assert found is not None
    assert (found.position.step, found.position.sequences) == (4, 40)
    DAMAGE[damage](found.folder)
    with caplog.at_level(logging.WARNING, "corpusmill.train"):
        before = Checkpoints(tmp_path / "c", "run", 3).latest()
    assert before is not None
    assert before.position == Position(step=3, sequences=30, tokens=7, optimiser_steps={"w": 3})
    assert before.tensors("model")["w"].tolist() == [[3, 3], [3, 3]]
    assert "removing a damaged checkpoint" in caplog.text
    assert not found.folder.exists()


@pytest.mark.parametrize("changed", [{"learning_rate": 0.02}, {"steps": 3}, {"precision": "bf16"}])
def test_another_run_is_not_gone_on_from(
    changed: dict[str, Any], shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"steps": 2, **changed}
    attempt(shards, tmp_path / "run", 1, steps=2)
    with caplog.at_level(logging.WARNING, "corpusmill.train"):
        again = attempt(shards, tmp_path / "run", 2, **options)
    assert "of a run with other options, data or libraries" in caplog.text
    assert digests(again) == digests(attempt(shards, tmp_path / "fresh", 1, **options))


def test_options_that_change_nothing_may_change(
    shards: list[Path], calm: dict[str, str], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_one", lambda *given: None)
        with pytest.raises(Interrupted):
            attempt(shards, tmp_path / "run", 1)
    other: dict[str, Any] = {"log_every": 1, "checkpoint": {"every": 7, "keep": 1}, "peak_tflops": 2}
    assert digests(attempt(shards, tmp_path / "run", 2, **other)) == calm


def test_keep_and_two_attempts_at_once(tmp_path: Path) -> None:
    """Of two that write the same step the first wins; each keeps the latest few."""
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("{}\n")
    one, two = (Checkpoints(tmp_path / "c", "run", keep) for keep in (3, 2))
    tensors = {"model": {"w": torch.ones(2, 2)}}
    for number in range(1, 6):
        first = one.write(Position(step=number), tensors, metrics)
        stamp = first.stat().st_mtime_ns
        assert two.write(Position(step=number), tensors, metrics) == first
        assert first.stat().st_mtime_ns == stamp
    assert [path.name for path in one.paths()] == ["step-00000003", "step-00000004", "step-00000005"]
    latest = two.latest()
    assert latest is not None
    assert latest.position.step == 5
    assert latest.tensors("model")["w"].tolist() == [[1, 1], [1, 1]]


def test_only_plain_formats_are_written(shards: list[Path], tmp_path: Path) -> None:
    attempt(shards, tmp_path / "run", 1, steps=2)
    found = {path.name for path in (tmp_path / "run" / "scratch").rglob("*") if path.is_file()}
    assert found == {
        "ema.safetensors",
        "metrics.jsonl",
        "model.safetensors",
        "optimiser.safetensors",
        "progress.json",
        "state.json",
    }
    progress = read_progress(tmp_path / "run" / "scratch")
    assert isinstance(progress, UnitProgress)
    assert (progress.done, progress.total) == (2, 2)
    assert "tokens/s" in progress.text
    assert "of peak" in progress.text
