"""The shipped recipe on a cut of the sample, and a way to run it as a user would."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from tests.warm import Warm

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# tiny.yaml at its smallest: the same steps on a few megabytes.
SMALLEST = (
    "sources.web.read.warc.split_bytes=1MB",
    "sources.code.read.jsonl.split_bytes=512KB",
    "tokenizer.train.vocab_size=1024",
    "mixture.tokens=300K",
    "pack.sequence_length=256",
    "pack.shard_tokens=100K",
    "train.steps=4",
    "train.batch_size=2",
)

Call = Callable[..., subprocess.CompletedProcess[str]]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, not to be changed. The first process of the test run that asks for it
    makes it, while the others wait."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all processes of the test run
    folder, made = base / name, base / f"{name}.made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 3 MB built by the command; not to be changed."""
    return made_once(tmp_path_factory, "sample", _make_sample)


def _make_sample(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "corpusmill", "sample-corpus", str(folder), "--megabytes", "3"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def corpusmill(sample: Path) -> Call:
    """Runs the command line over the sample."""

    def call(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "corpusmill", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "CORPUSMILL_SAMPLE": str(sample), **(env or {})},
            start_new_session=True,
        )

    return call


def smallest(*more: str) -> list[str]:
    """`--set` flags that make tiny.yaml its smallest."""
    return [flag for setting in (*SMALLEST, *more) for flag in ("--set", setting)]


@pytest.fixture(scope="session")
def run_tiny(corpusmill: Call) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the smallest tiny.yaml into a folder."""

    def run(
        out: Path, *flags: str, settings: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["run", CONFIGS / "tiny.yaml", "--out", out, "--json", *smallest(*settings), *flags]
        return corpusmill(*command, env=env)

    return run


@pytest.fixture(scope="session")
def warm_tiny(warm: Warm, sample: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in processes that are forked instead of started."""

    def run(
        out: Path, *flags: str, settings: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["run", CONFIGS / "tiny.yaml", "--out", out, "--json", *smallest(*settings), *flags]
        return warm.call(*command, env={"CORPUSMILL_SAMPLE": str(sample), **(env or {})})

    return run


@pytest.fixture(scope="session")
def start_tiny(sample: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the smallest tiny.yaml in a process group of its own, to be killed."""

    def start(out: Path, *flags: str) -> subprocess.Popen[bytes]:
        command = ["run", str(CONFIGS / "tiny.yaml"), "--out", str(out), *smallest(), *flags]
        return subprocess.Popen(
            [sys.executable, "-m", "corpusmill", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "CORPUSMILL_SAMPLE": str(sample)},
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def calm(
    run_tiny: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished, undisturbed run of the smallest tiny.yaml with two workers; not to be changed."""

    def make(out: Path) -> None:
        done = run_tiny(out)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "calm", make)


@pytest.fixture(scope="session")
def hashes_of() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file below `steps`, receipts and manifests included, by its path in the run."""

    def hashes(run: Path) -> dict[str, str]:
        return {
            path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((run / "steps").rglob("*"))
            if path.is_file()
        }

    return hashes


@pytest.fixture(scope="session")
def command(warm: Warm) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a folder, without the seconds that fresh interpreters take to start."""

    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return warm.call(*arguments, folder=folder)

    return call
