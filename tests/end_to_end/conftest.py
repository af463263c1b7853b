"""The shipped recipe on a cut of the sample, and a way to run it as a user would."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

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
        [sys.executable, "-m", "corpusmill", "sample", str(folder), "--megabytes", "3"],
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


# Most of a short command is imports. This process has them behind it, and forks for every command it is asked
# for: a process of its own each time, with the streams, folder and exit code of one.
FORKING = """
import json, os, sys
import corpusmill.pipelines.cli.main as command
import corpusmill.pipelines.recipe.loader
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(order["folder"])
        for number, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdin = open(0)
        sys.argv = ["corpusmill", *order["arguments"]]
        try:
            command.main()
            code = 0
        except SystemExit as exit:
            code = exit.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(code), flush=True)
"""


@pytest.fixture(scope="session")
def command(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a short command in a folder, without the half second that a fresh interpreter takes to start."""
    streams = tmp_path_factory.mktemp("streams")
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads do not outlive a fork
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, told = process.stdin, process.stdout

    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        out, err = streams / "out", streams / "err"
        order = {"folder": str(folder), "arguments": arguments, "out": str(out), "err": str(err)}
        asked.write(json.dumps(order) + "\n")
        asked.flush()
        code = json.loads(told.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    yield call
    asked.close()
    process.wait(timeout=PATIENCE)
    told.close()
