"""Training on several processes as a step of a run: ranks really die, hang and are stopped. The same command
goes on, with as many ranks to the same bytes and with fewer to the same losses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from corpusmill.pipelines.cli.main import app
from tests.training_runs import STEPS, checkpoints, forked, hashes, started, write_recipe
from tests.waiting import PATIENCE, wait_until
from tests.warm import Warm
from tests.warm_ranks import FORKED_RANKS

RANKS = 4
FLAGS = ("--set", "train.batch_size=4", "--set", "engine.retries=0")
FOUR, TWO = ("--set", "train.ranks=4"), ("--set", "train.ranks=2")
QUICK = f"""
{FORKED_RANKS}
from corpusmill.training_hooks.trainer import ranked_task
ranked_task.SILENCE = 20.0
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("ranks") / "recipe")


@pytest.fixture(scope="module")
def packed(recipe: Path) -> Path:
    """A run that has done everything but the training."""
    out = recipe.parents[1] / "packed"
    settings = ("--set", "engine.kind=inline", "--until", "pack")
    app(["run", str(recipe), "--out", str(out), *FLAGS, *settings], standalone_mode=False)
    return out


@pytest.fixture(scope="module")
def calm(recipe: Path, packed: Path, training: Warm) -> Path:
    """A run on four ranks that nobody disturbed."""
    out = shutil.copytree(packed, packed.with_name("calm"))
    done = training.call("train", recipe, "--out", out, *FLAGS, "--ranks", "4", code=FORKED_RANKS)
    assert done.returncode == 0, done.stderr
    assert not list(out.rglob("scratch"))
    return out


def ranks_of(pid: int) -> dict[int, psutil.Process]:
    """The ranks that a command has started, by number."""
    found = {}
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if named := re.fullmatch(r"rank (\d+) of \d+", process.name()):
                found[int(named[1])] = process
    return found


def left_of(session: int) -> list[str]:
    """Processes that live on of all that a command has started, itself included."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def losses(run: Path) -> list[float]:
    (file,) = run.glob("steps/train/*/data/metrics.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, STEPS + 1))
    return [record["loss"] for record in records]


@pytest.fixture(scope="module")
def killed(recipe: Path, packed: Path, training: Warm) -> Path:
    """A run of which one rank was killed in step 5, after a checkpoint of step 4."""
    out = shutil.copytree(packed, packed.with_name("killed"))
    reached = out.with_name("reached-5")
    point = {"CORPUSMILL_FAULTPOINT": f"training-step:5:{reached}"}
    with forked(training, recipe, out, *FLAGS, *FOUR, code=FORKED_RANKS, **point) as command:
        command.reaches(reached.exists, "training reaches step 5")
        ranks = ranks_of(command.pid)
        assert sorted(ranks) == list(range(RANKS))
        ranks[2].kill()
        code, said = command.ended()
    assert code == 2, said
    assert "RankError: rank 2 of 4 was killed by signal 9 (SIGKILL)" in said
    assert not any(process.is_running() for process in ranks.values())
    assert not left_of(command.pid)
    assert checkpoints(out)[-1] == 4
    return out


def test_the_same_command_goes_on_to_the_same_bytes(
    recipe: Path, killed: Path, calm: Path, training: Warm
) -> None:
    out = shutil.copytree(killed, killed.with_name("again"))
    done = training.call("run", recipe, "--out", out, *FLAGS, *FOUR, code=FORKED_RANKS)
    assert done.returncode == 0, done.stderr
    assert f"rank 0: going on from step 4 of {STEPS}" in (out / "log" / "workers.log").read_text()
    assert hashes(out) == hashes(calm)


def test_fewer_ranks_go_on_though_they_are_stopped_and_one_hangs(
    recipe: Path, killed: Path, calm: Path, training: Warm
) -> None:
    """Two ranks are stopped in step 5 and leave a checkpoint of it. In step 8 one no longer answers: the
    attempt ends, and the next one ends well."""
    out = shutil.copytree(killed, killed.with_name("fewer"))
    reached = [out.with_name("reached-stop"), out.with_name("reached-hang")]
    point = {"CORPUSMILL_FAULTPOINT": f"training-step:1:{reached[0]}"}
    with forked(training, recipe, out, *FLAGS, *TWO, code=FORKED_RANKS, **point) as command:
        command.reaches(reached[0].exists, "training reaches step 5")
        os.kill(command.pid, signal.SIGTERM)
        code, said = command.ended()
    assert code == 2, said
    assert "run the same command to go on" in said
    assert not left_of(command.pid)
    assert checkpoints(out)[-1] == 5
    point = {"CORPUSMILL_FAULTPOINT": f"training-step:3:{reached[1]}"}
    with forked(
        training, recipe, out, *FLAGS, *TWO, "--set", "engine.retries=1", code=QUICK, **point
    ) as command:
        command.reaches(reached[1].exists, "training reaches step 8")
        ranks_of(command.pid)[1].suspend()
        code, said = command.ended()
    assert code == 0, said
    assert "rank 1 of 2 gave no sign of life for 20 s and was ended" in said
    assert losses(out) == pytest.approx(losses(calm), rel=1e-6)


def test_a_rank_killed_in_a_phase_of_longer_context(recipe: Path, calm: Path, training: Warm) -> None:
    """The attempt ends with its error; the same command goes on to the bytes of a run that nobody
    disturbed."""
    phase = "long_context={phases: [{sequence_length: 32, steps: 6}], needles: null, checkpoint: {every: 2}}"
    flags = (*FLAGS, *TWO, "--set", phase)
    whole, out = (shutil.copytree(calm, calm.with_name(name)) for name in ("longer", "longer-killed"))
    done = training.call("run", recipe, "--out", whole, *flags, code=FORKED_RANKS)
    assert done.returncode == 0, done.stderr
    reached = out.with_name("reached-longer")
    point = {"CORPUSMILL_FAULTPOINT": f"training-step:5:{reached}"}
    with forked(training, recipe, out, *flags, code=FORKED_RANKS, **point) as command:
        command.reaches(reached.exists, "training reaches step 5")
        ranks_of(command.pid)[1].kill()
        code, said = command.ended()
    assert code == 2, said
    assert "RankError: rank 1 of 2 was killed by signal 9 (SIGKILL)" in said
    done = training.call("run", recipe, "--out", out, *flags, code=FORKED_RANKS)
    assert done.returncode == 0, done.stderr
    assert "rank 0: going on from step 4 of 6" in (out / "log" / "workers.log").read_text()
    assert hashes(out) == hashes(whole)


@contextmanager
def torchrun(recipe: Path, out: Path, restarts: int, steps: int) -> Iterator[subprocess.Popen[bytes]]:
    """Two ranks by torchrun, of which one is killed once they have done so many steps."""
    reached = out.with_name(f"reached-{out.name}-{restarts}")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "corpusmill", "train", str(recipe), "--out", str(out), *FLAGS]
    with out.with_name("torchrun.txt").open("wb") as file:
        process = subprocess.Popen(
            [*launcher, "--max-restarts", str(restarts), *command],
            stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, "CORPUSMILL_FAULTPOINT": f"training-step:{steps}:{reached}"},
        )  # fmt: skip
    try:
        wait_until(reached.exists, f"ranks do {steps} steps", process)
        ranks = {child.environ().get("RANK"): child for child in psutil.Process(process.pid).children()}
        ranks["1"].kill()
        yield process
    finally:
        process.kill()
        process.wait()


def test_torchrun_starts_ranks_that_end_with_one_of_them_and_go_on(
    recipe: Path, packed: Path, calm: Path
) -> None:
    """Killed in step 3, after a checkpoint of step 2; then in step 7, where torchrun starts them again."""
    out = shutil.copytree(packed, packed.with_name("outside"))
    said = out.with_name("torchrun.txt")
    with torchrun(recipe, out, restarts=0, steps=3) as process:
        assert process.wait(PATIENCE) == 1, said.read_text()
        wait_until(lambda: not left_of(process.pid), "all that torchrun started ends")
    assert checkpoints(out)[-1] == 2
    with torchrun(recipe, out, restarts=1, steps=5) as process:
        assert process.wait(PATIENCE) == 0, said.read_text()
    assert losses(out) == pytest.approx(losses(calm), rel=1e-6)


def test_on_ray_a_lost_rank_ends_the_attempt_and_leaves_its_place_to_the_next(
    recipe: Path, packed: Path, calm: Path
) -> None:
    """Two ranks on two CPUs: the second attempt has room for none unless the first one's group is removed."""
    out = shutil.copytree(packed, packed.with_name("ray"))
    reached = out.with_name("reached-ray")
    point = {"CORPUSMILL_FAULTPOINT": f"training-step:7:{reached}", "RAY_worker_niceness": "0"}
    flags = (*FLAGS, *TWO, "--set", "engine={kind: ray, workers: 2, retries: 1}")
    with started(recipe, out, *flags, **point) as command:
        command.reaches(reached.exists, "training reaches step 7")
        ranks = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "rank 1 of 2" and point.items() <= process.environ().items():
                    ranks.append(process)
        (second,) = ranks
        second.kill()
        code, said = command.ended()
    assert code == 0, said
    assert "RankError: rank 1 of 2 was killed by signal 9 (SIGKILL)" in said
    assert losses(out) == pytest.approx(losses(calm), rel=1e-6)
