"""Ranks as processes of this machine: started together, watched, and ended together.

The first rank that dies, raises, or gives no sign of life ends the others: they are asked to stop, then
killed, within seconds, and its error is the one that is raised. A rank that lost another often tells before
that other's end is seen; so one that tells nothing else is not believed at once. No process outlives the one
that started it, whatever that dies of (`rank_process`).

What ranks log goes on to this process's loggers behind their number, and so do lines that libraries and
crashes write. Variables whose values are to be hidden are hidden there as in all that this process says.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Self

from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.isolation import child_environment, python_command
from corpusmill.training_hooks.launch.ending import Ending
from corpusmill.training_hooks.launch.fault import End, Fault
from corpusmill.training_hooks.launch.rank_process import Order
from corpusmill.training_hooks.launch.work import Meeting, Work

log = logging.getLogger("corpusmill.train")

POLL_SECONDS = 0.25
STARTING_SECONDS = 300.0  # that a process may take until it first tells anything
LEAVING_SECONDS = 3.0  # between asking a rank to stop and killing it
LAST_SECONDS = 10.0  # that a process which told its end may take to end
_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"
LOOPBACK = {"GLOO_SOCKET_IFNAME": _INTERFACE, "NCCL_SOCKET_IFNAME": _INTERFACE}
_RANK = "from corpusmill.training_hooks.launch.rank_process import main; main(int(sys.argv[1]))"


@dataclass(eq=False)
class _Rank:
    """A rank's process. `answers`: what it tells, lines of JSON; `heard`: when it last told anything, in
    monotonic seconds, and `begun`: whether it ever did."""

    meeting: Meeting
    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    heard: float
    begun: bool = False
    end: End | None = None
    ended: float = 0.0  # when that was heard of
    closed: bool = False  # whether its process has ended
    pending: dict[int, bytes] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return self.meeting.rank

    def lines(self, descriptor: int) -> tuple[list[bytes], bool]:
        """Complete lines that came, and whether no more will."""
        piece = os.read(descriptor, 1 << 16)
        *whole, self.pending[descriptor] = (self.pending.get(descriptor, b"") + piece).split(b"\n")
        return whole, not piece


class Gang:
    """Processes that do `work`, one for each of `meetings`, with `threads` processor threads each.

    A context: at its end, however it comes, no process is left. `silence`: seconds without a sign of life
    after which a rank is given up; `environment` is added to the ranks' own.
    """

    def __init__(
        self,
        work: Work,
        meetings: Sequence[Meeting],
        *,
        threads: int,
        silence: float,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._work, self._meetings, self._silence = work, meetings, silence
        variables = {
            name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        }
        self._environment = child_environment({**os.environ, **variables, **(environment or {})})
        self._ranks: list[_Rank] = []
        self._ends: list[End] = []
        self._selector = selectors.DefaultSelector()
        self._summaries: dict[int, Any] = {}
        self._asked = False  # whether the ranks were asked to stop
        self._ending = Ending()
        self._killing = float("inf")  # when those left are killed

    def __enter__(self) -> Self:
        try:
            for meeting in self._meetings:
                self._start(meeting)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _start(self, meeting: Meeting) -> None:
        ours, theirs = os.pipe()
        try:
            process = self._process(meeting, theirs)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        rank = _Rank(meeting, process, os.fdopen(ours, "rb", buffering=0), time.monotonic())
        self._ranks.append(rank)
        assert process.stdin is not None
        assert process.stdout is not None
        self._selector.register(rank.answers, selectors.EVENT_READ, rank)
        self._selector.register(process.stdout, selectors.EVENT_READ, rank)
        order = Order(os.getpid(), meeting, self._work)
        with suppress(BrokenPipeError):  # it has ended: its end is heard of as any other
            process.stdin.write(json.dumps(encode(order)).encode() + b"\n")
            process.stdin.flush()

    def _process(self, meeting: Meeting, answers: int) -> subprocess.Popen[bytes]:
        """A rank's process, which tells on the descriptor `answers`."""
        return subprocess.Popen(
            python_command(_RANK, str(answers), f"rank {meeting.rank} of {meeting.ranks}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(answers,),
            env=self._environment,
        )

    def watch(self, stopped: Callable[[], bool]) -> list[End]:
        """How all ranks ended, in that order. Once `stopped()`, they are asked to stop, once."""
        looked = time.monotonic()
        while any(not rank.closed for rank in self._ranks):
            self._hear(POLL_SECONDS)
            now = time.monotonic()
            if now - looked > self._silence / 2:  # this process itself was suspended: nothing is known
                for rank in self._ranks:
                    rank.heard = now
            looked = now
            if stopped():
                self._ask()
            self._give_up_silent(now)
            self._end_others(now)
        self._hear(0)  # what those that ended last had written
        return self._ends

    def summary(self, number: int) -> Any:
        """What the rank of this number gave at its end; None where it failed."""
        return self._summaries.get(number)

    def _hear(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            rank: _Rank = key.data
            lines, closed = rank.lines(key.fd)
            if key.fileobj is rank.answers:
                for line in lines:
                    self._told(rank, json.loads(line))
            else:
                lines += [rank.pending.pop(key.fd)] if closed else []
                for line in filter(None, lines):
                    log.info("rank %d: %s", rank.number, line.decode("utf-8", "replace"))
            if closed:
                self._selector.unregister(key.fileobj)
                if key.fileobj is rank.answers:
                    self._ended(rank)

    def _told(self, rank: _Rank, answer: dict[str, Any]) -> None:
        rank.heard, rank.begun = time.monotonic(), True
        if "log" in answer:
            level, name, text = answer["log"]
            logging.getLogger(name).log(level, "rank %d: %s", rank.number, text)
        elif "done" in answer:
            self._summaries[rank.number] = answer["done"]
            self._note(rank, End(rank.number))
        elif "failed" in answer:
            self._note(rank, End(rank.number, decode(Fault, answer["failed"], "the answer of a rank")))

    def _note(self, rank: _Rank, end: End) -> None:
        if rank.end is None:
            rank.end, rank.ended = end, time.monotonic()
            self._ends.append(end)

    def _ended(self, rank: _Rank) -> None:
        """The process closed its end: whatever it has not told, its exit code does."""
        try:
            code = rank.process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            rank.process.kill()
            code = rank.process.wait()
        rank.closed = True
        self._note(rank, End(rank.number, code=code))

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            for rank in self._ranks:
                if rank.end is None:
                    rank.process.send_signal(signal.SIGTERM)

    def _give_up_silent(self, now: float) -> None:
        for rank in self._ranks:
            most = self._silence if rank.begun else max(self._silence, STARTING_SECONDS)
            if rank.end is None and now - rank.heard > most:
                rank.process.kill()
                self._note(rank, End(rank.number, silent=most))

    def _end_others(self, now: float) -> None:
        """After the first bad end ask those left to stop, once they had time to tell theirs, then kill them;
        and kill those that told their end and do not leave."""
        if self._killing == float("inf") and self._ending.due(self._ends, now):
            self._ask()
            self._killing = now + LEAVING_SECONDS
        for rank in self._ranks:
            late = now >= self._killing or (rank.end is not None and now > rank.ended + LAST_SECONDS)
            if late and not rank.closed:
                rank.process.kill()

    def close(self) -> None:
        """Kill what is left of the gang, and wait for it. May be called again."""
        for rank in self._ranks:
            rank.process.kill()
        for rank in self._ranks:
            rank.process.wait()
            rank.answers.close()
            for stream in (rank.process.stdin, rank.process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
        self._ranks.clear()
        self._selector.close()
