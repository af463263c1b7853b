"""Tasks run in worker processes on this machine: the default engine.

Workers are plain subprocesses speaking JSON lines, so nothing depends on how the runner itself was
started, and they import nothing from the working directory (see `isolation`). One that dies is replaced,
and only its own task is told. Workers start as tasks come.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.engine import Beat, Culprit, Died, Done, Event, Failed, Order
from corpusmill.pipelines.run.engines.isolation import child_environment, worker_command
from corpusmill.pipelines.run.task import Executed

LAST_SECONDS = 5.0
# What a task has to write a checkpoint in when the run is stopped. Workers that do not listen end at once.
GRACE_SECONDS = 60.0
_SENT = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    answers: int
    pending: bytes = b""
    ticket: int | None = None

    def lines(self) -> tuple[list[dict[str, Any]], bool]:
        """Complete answers so far, and whether the worker closed its end."""
        try:
            piece = os.read(self.answers, 1 << 20)
        except OSError:
            piece = b""
        self.pending += piece
        *whole, self.pending = self.pending.split(b"\n")
        return [json.loads(line) for line in whole], not piece


class ProcessEngine:
    """`slots` workers; `environment` is added to theirs, `log` receives their standard error."""

    beats = True
    batch_seconds = 0.0  # a task costs a line on a pipe

    def __init__(
        self, slots: int, log: IO[bytes] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.slots = self.room = slots
        self._log = log
        self._environment = child_environment({**os.environ, **(environment or {})})
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def _start(self) -> _Worker:
        answers, theirs = os.pipe()
        process = subprocess.Popen(
            worker_command(theirs),
            stdin=subprocess.PIPE,
            stdout=self._log or subprocess.DEVNULL,
            stderr=self._log or subprocess.DEVNULL,
            pass_fds=(theirs,),
            env=self._environment,
        )
        os.close(theirs)
        worker = _Worker(process, answers)
        self._workers.append(worker)
        self._selector.register(answers, selectors.EVENT_READ, worker)
        return worker

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        ((ticket, task),) = batch
        worker = next((w for w in self._workers if w.ticket is None), None) or self._start()
        worker.ticket = ticket
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps({"ticket": ticket, "task": encode(task)}).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # the worker has ended: the next poll finds its answer pipe closed

    def poll(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        for key, _ in self._selector.select(timeout):
            worker: _Worker = key.data
            answers, closed = worker.lines()
            for answer in answers:
                event = _event(answer)
                if event is None:
                    continue
                if not isinstance(event, Beat):
                    worker.ticket = None
                events.append(event)
            if closed:
                self._forget(worker)
                code = _ended(worker.process)
                if worker.ticket is not None:
                    cause = f"killed by signal {-code}" if code < 0 else f"exited with {code}"
                    limit = code == -signal.SIGVTALRM
                    events.append(Died(worker.ticket, cause, _culprit(code), limit))
        return events

    def cancel(self, ticket: int) -> None:
        for worker in list(self._workers):
            if worker.ticket == ticket:
                worker.process.kill()
                worker.process.wait()
                self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        self._selector.unregister(worker.answers)
        os.close(worker.answers)
        self._workers.remove(worker)
        _hang_up(worker.process)

    def close(self) -> None:
        workers = list(self._workers)
        try:
            for worker in workers:
                worker.process.terminate()
                _hang_up(worker.process)  # one that listens for the signal ends once its task has
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        finally:  # at once if the user asks again
            for worker in workers:
                worker.process.kill()
            for worker in workers:
                worker.process.wait()
                self._forget(worker)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    """Let a worker know that no task comes any more."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # nobody is left to read what was buffered
            process.stdin.close()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Exit code of a worker that closed its pipe; one that nevertheless lives on is killed."""
    try:
        return process.wait(timeout=LAST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _culprit(code: int) -> Culprit:
    """Who ended a worker with this exit code.

    A crash raises a signal of its own, and those that ask a process to end come from elsewhere. SIGKILL comes
    from elsewhere too, but what the task did may have been the reason.
    """
    if code == -signal.SIGKILL:
        return "unclear"
    return "outside" if -code in _SENT else "task"


def _event(answer: Mapping[str, Any]) -> Event | None:
    if "done" in answer:
        return Done(answer["done"], decode(Executed, answer["executed"], "the answer of a worker"))
    if "failed" in answer:
        return Failed(answer["failed"], answer["kind"], answer["message"], answer["traceback"])
    if "beat" in answer:
        return Beat(answer["beat"], answer["rss"])
    return None  # a worker's greeting
