"""The worker process: reads tasks as JSON lines on standard input, answers on another descriptor.

Started by `isolation.worker_command`. It beats once a second while at work, ignores
Ctrl-C (the runner decides), and dies with its parent. Nothing is pickled. Its standard error is the run's
`log/workers.log`, in which values of the recipe's variables are hidden.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.recipe.environment import hide_again, hide_values
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.engine import Done, Failed, Outcome
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.system.faults import describe, no_writing
from corpusmill.pipelines.system.process import resident_bytes
from corpusmill.pipelines.system.terminal import guard_streams
from corpusmill.pipelines.system.time_limit import let_limits_end_this_process

BEAT_SECONDS = 1.0


def attempt(ticket: int, task: Task) -> Outcome:
    """Execute one task; whatever it raises becomes a `Failed` event."""
    from corpusmill.pipelines.run.work import execute
    from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

    use_kernel_cache()
    try:
        return Done(ticket, execute(task))
    except Exception as error:  # noqa: BLE001  # the scheduler decides, and stops the run in the end
        kind, message = _told(error, task.folder)
        return Failed(ticket, kind, message, traceback.format_exc())
    except SystemExit as error:  # of a stage or of what it calls; it is no reason to end this process
        message = f"SystemExit: {error}; a stage or a library that it calls asked for the end of the program"
        return Failed(ticket, "internal", message, traceback.format_exc())


def attempt_in_worker(ticket: int, task: Task) -> Outcome:
    """`attempt` in a process that does nothing else, with its resident memory."""
    outcome = attempt(ticket, task)
    if isinstance(outcome, Done):
        return replace(outcome, executed=replace(outcome.executed, rss=resident_bytes()))
    return outcome


def _told(error: Exception, folder: str) -> tuple[Literal["user", "damage", "halt", "internal"], str]:
    """Whose fault an exception is, and its message."""
    if isinstance(error, UserError):
        return "user", str(error)
    if isinstance(error, IntegrityError):  # the same bytes are as wrong on the next try
        return "damage", str(error)
    number = no_writing(error)
    if number is not None:
        return "halt", describe(number, folder)
    if isinstance(error, PermissionError) and error.errno is not None and error.filename is not None:
        return "user", describe(error.errno, os.fsdecode(error.filename))
    return "internal", f"{type(error).__name__}: {error}"


def die_with_parent() -> None:
    """Ask Linux to kill this process when the runner goes; elsewhere the closed standard input ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def load_no_numba_extensions() -> None:
    """Keep numba from importing every installed package that extends it: half of what its first kernel costs.

    A plugin that compiles over the arrays of such a package registers it itself, as with
    `awkward.numba.register_and_check()`. Has to come before the first kernel.
    """
    from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

    use_kernel_cache()
    from numba.core import entrypoints

    entrypoints._already_initialized = True


class _Beating(threading.Thread):
    def __init__(self, answer: Answer) -> None:
        super().__init__(daemon=True)
        self.answer = answer
        self.ticket: int | None = None

    def run(self) -> None:
        wait = threading.Event()
        while not wait.wait(BEAT_SECONDS):
            ticket = self.ticket
            if ticket is not None:
                self.answer.send({"beat": ticket, "rss": resident_bytes()})


class Answer:
    """Writes JSON lines to the runner; one line is one write under a lock."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._lock = threading.Lock()

    def send(self, value: Mapping[str, object]) -> None:
        line = json.dumps(value).encode() + b"\n"
        with self._lock:
            view = memoryview(line)
            while view:
                view = view[self._file.write(view) :]


def main(descriptor: int) -> None:
    """Serve tasks until standard input closes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hide_again()
    guard_streams(hide_values)
    sys.stdout = sys.stderr  # both go to the log
    let_limits_end_this_process()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a poisonous document must not fill the disk with cores
    logging.basicConfig(level=os.environ.get("CORPUSMILL_LOG", "INFO"), format="%(name)s: %(message)s")
    import pyarrow as pa

    pa.set_cpu_count(1)  # the units are the parallelism
    pa.set_io_thread_count(1)
    load_no_numba_extensions()
    answer = Answer(descriptor)
    beating = _Beating(answer)
    beating.start()
    answer.send({"ready": os.getpid()})
    for line in sys.stdin.buffer:
        order = json.loads(line)
        # At once: time begins to count here, however long this process took to start.
        answer.send({"beat": order["ticket"], "rss": resident_bytes()})
        beating.ticket = order["ticket"]
        outcome = attempt_in_worker(order["ticket"], decode(Task, order["task"], "standard input"))
        beating.ticket = None
        if isinstance(outcome, Done):
            answer.send({"done": outcome.ticket, "executed": encode(outcome.executed)})
        else:
            answer.send(
                {
                    "failed": outcome.ticket,
                    "kind": outcome.kind,
                    "message": outcome.message,
                    "traceback": outcome.traceback,
                }
            )
