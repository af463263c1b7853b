"""Ranks of a training as forks of the worker that starts them, itself a fork of a process that has imported
torch: real processes and real deaths, without seconds of imports for each."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.warm import _environment, _Fork, _leave, _streams

FORKED_RANKS = "from tests.warm_ranks import fork_ranks; fork_ranks()"
"""Code for `Warm.call` and `forked`."""
GANG = "from tests.warm_ranks import run_gang; run_gang({module!r}, {folder!r}, {ranks}, {limit})"
"""Code for `Warm.call`, which has no command besides."""


class _ForkedRank(_Fork):
    """A forked rank as `subprocess.Popen` shows one."""

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        super().__init__(pid, stdin)
        self.stdout = os.fdopen(stdout, "rb")

    def send_signal(self, number: int) -> None:
        self._send(number)


def fork_ranks() -> None:
    """From now on ranks that this process starts, and its forks, are forks."""
    from corpusmill.training_hooks.launch.gang import Gang

    Gang._process = _process  # type: ignore[assignment,method-assign]


def _process(gang: Any, meeting: Any, answers: int) -> _ForkedRank:
    orders, ours = os.pipe()
    output, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _leave(lambda: _rank(gang, orders, theirs, answers))
    os.close(orders)
    os.close(theirs)
    return _ForkedRank(pid, ours, output)


def _rank(gang: Any, orders: int, output: int, answers: int) -> None:
    """What a new process does, once it is as one that has just begun."""
    from corpusmill.pipelines.system import faultpoints
    from corpusmill.training_hooks.launch.rank_process import main

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    _streams(orders, output, output)
    os.closerange(3, answers)
    os.closerange(answers + 1, 4096)
    _environment(gang._environment)
    for logger in [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]:
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    faultpoints._seen.clear()
    main(answers)


def run_gang(module: str, folder: str, ranks: int, limit: float) -> None:
    """Do `main(rank, folder)` of a module in a fork for each rank, end all after `limit` seconds, and end
    this process. The folder gets what each says, `RANK.log`, and their exit codes, `codes.json`."""
    pids = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            _leave(partial(_member, module, Path(folder), rank))
        pids.append(pid)
    codes: dict[int, int] = {}
    until = time.monotonic() + limit
    while left := [pid for pid in pids if pid not in codes]:
        for pid in left:
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    Path(folder, "codes.json").write_text(json.dumps([codes[pid] for pid in pids]), "utf-8")
    raise SystemExit(0)


def _member(module: str, folder: Path, rank: int) -> None:
    log = os.open(folder / f"{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    _streams(os.open(os.devnull, os.O_RDONLY), log, log)
    importlib.import_module(module).main(rank, folder)
