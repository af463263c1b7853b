"""The command in a process that has imported everything: runs of small recipes without seconds of imports.

One process a session imports what a run needs and forks for every command, and such a command forks for
every worker; all else is the engine's and the command's own, real signals and real deaths included. What is
tested of how processes start (imports, working directory, variables) uses processes started in full.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import pkgutil
import selectors
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path
from typing import Any

SERVE = "from tests.warm import serve; serve({code!r})"
NO_PAUSE = """
from corpusmill.pipelines.run import blame
from corpusmill.pipelines.run import runner
runner.Patience = lambda losses: blame.Patience(losses, pause=0)
"""
"""Code for `Warm.call`: a unit whose worker is lost is tried again without a pause."""
READY_TO_TRAIN = """
import importlib, os, pkgutil
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import numpy as np
import torch
import corpusmill.training_hooks as room
torch.set_num_threads(1)
for name in ("distributed", "evaluation", "kernels", "loading", "model", "precision", "schedules", "trainer"):
    package = importlib.import_module(f"{room.__name__}.{name}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
from corpusmill.training_hooks.kernels import expert_sums
row, place, weight = np.ones((1, 4), np.float32), np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32)
expert_sums.weighted_sum(row, place, weight, row.copy(), 0, 1)
expert_sums.weighted_sum_gradient(row, row, place, weight, row.copy(), weight.copy(), 0, 1)
"""
"""Code for `Warm`: torch, all that training imports, and its kernels. No gradient: torch refuses one in a
fork of a process that has computed one."""


class Warm:
    """The process that forks, once it has run `code` besides; close it."""

    def __init__(self, code: str = "") -> None:
        here = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(here)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVE.format(code=code)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def call(
        self,
        *arguments: object,
        env: dict[str, str] | None = None,
        code: str = "",
        folder: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in `folder` (default: the current one) to its end, `code` before it, with `env`
        added to this process's variables."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [str(each) for each in arguments]
        with tempfile.TemporaryDirectory() as streams:
            output, errors = Path(streams, "out"), Path(streams, "err")
            order = {
                "arguments": words, "env": {**os.environ, **(env or {})}, "code": code,
                "folder": str(folder or Path.cwd()), "output": str(output), "errors": str(errors),
            }  # fmt: skip
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the process that forks has ended"
            said, told = (path.read_bytes().decode() for path in (output, errors))  # carriage returns stay
            return subprocess.CompletedProcess(words, int(answer), said, told)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # What this process has forked may have its standard input open too, so it would wait for its end.
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def serve(code: str) -> None:
    """Fork for every order on standard input; tell how the command ended."""
    from corpusmill.dedup.exact import Exact
    from corpusmill.pipelines import cli, inspection, recipe, report
    from corpusmill.pipelines.run import operators
    from corpusmill.pipelines.run.engines.worker import load_no_numba_extensions
    from corpusmill.pipelines.sources.jsonl import Jsonl
    from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
    from corpusmill.tokenizer.bpe.probes import probe_texts
    from tests.heap import leave_imports_alone
    from tests.writes import wait_for_no_disk

    wait_for_no_disk()
    load_no_numba_extensions()
    for package in (cli, inspection, operators, recipe, report):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    for stage in (Jsonl(files=[""]), Exact()):
        stage.warm()
    for spellings in ((), SPECIAL_TOKENS.values()):  # of an acceptance, and of a tokenizer that is trained
        probe_texts(spellings)
    exec(code, {})
    leave_imports_alone()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _leave(partial(_command, json.loads(line)))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _leave(body: Any) -> None:
    """End this fork as Python ends a process after `body()`."""
    code = 1
    try:
        body()
        code = 0
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # noqa: BLE001  # as Python does: told, and the process ends
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _command(order: dict[str, Any]) -> None:
    from corpusmill.pipelines.cli.main import main
    from corpusmill.pipelines.run.engines.process import ProcessEngine

    os.setsid()
    _streams(os.open(os.devnull, os.O_RDONLY), *(_file(order[name]) for name in ("output", "errors")))
    _environment(order["env"])
    os.chdir(order["folder"])
    ProcessEngine._start = _start  # type: ignore[method-assign]
    exec(order["code"], {})
    sys.argv = ["corpusmill", *order["arguments"]]
    main()


def _file(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _streams(*descriptors: int) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace", buffering=1)


def _environment(new: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(new)


class _Fork:
    """A forked worker as `subprocess.Popen` shows one."""

    def __init__(self, pid: int, stdin: int) -> None:
        self.pid, self.stdin, self.returncode = pid, os.fdopen(stdin, "wb"), None

    def wait(self, timeout: float | None = None) -> int:
        """`timeout` is not kept: a test has a bound of its own."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def _send(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)


def _start(engine: Any) -> Any:
    """`ProcessEngine._start` by a fork."""
    from corpusmill.pipelines.run.engines.process import _Worker

    answers, theirs = os.pipe()
    orders, ours = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _leave(lambda: _work(engine, orders, theirs))
    os.close(theirs)
    os.close(orders)
    worker = _Worker(_Fork(pid, ours), answers)  # type: ignore[arg-type]
    engine._workers.append(worker)
    engine._selector.register(answers, selectors.EVENT_READ, worker)
    return worker


def _work(engine: Any, orders: int, answers: int) -> None:
    """What a new process does, once it is as one that has just begun."""
    from corpusmill.pipelines.contract import plugins
    from corpusmill.pipelines.recipe import environment
    from corpusmill.pipelines.run.engines.worker import main
    from corpusmill.pipelines.system import faultpoints

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    log = engine._log.fileno() if engine._log is not None else os.open(os.devnull, os.O_WRONLY)
    _streams(orders, log, log)
    os.closerange(3, answers)
    os.closerange(answers + 1, 4096)
    _environment(engine._environment)
    for logger in [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]:
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    plugins.clear_plugins()
    environment._held.clear()
    faultpoints._seen.clear()
    main(answers)
