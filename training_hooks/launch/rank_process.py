"""The process of one rank: reads its order on standard input, tells on another descriptor what becomes of it.

Started by `gang`. It tells once a second that it lives, and what it logs; at its end its summary or its
fault. It leaves Ctrl-C to the process that started it and dies with that: by a request to Linux, and where
its standard input closes. Nothing is pickled. What it writes to standard output and standard error, as
libraries and crashes do, is read by the process that started it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import resource
import signal
import sys
import threading
from dataclasses import dataclass
from typing import NoReturn

from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.worker import Answer, die_with_parent, load_no_numba_extensions
from corpusmill.pipelines.system.process import resident_bytes
from corpusmill.training_hooks.launch.fault import fault_of
from corpusmill.training_hooks.launch.work import Meeting, Work

BEAT_SECONDS = 1.0
_PR_SET_NAME = 15


@dataclass(frozen=True)
class Order:
    """What a rank's process is started for; `parent`: the number of the process that starts it."""

    parent: int
    meeting: Meeting
    work: Work


class _Told(logging.Handler):
    """Log records, told to the process that started this one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._answer.send({"log": [record.levelno, record.name, self.format(record)]})


def main(descriptor: int) -> NoReturn:
    """Do the work of a rank, tell how it ended, and leave: 0, or 1 after a fault."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = Answer(descriptor)
    order = decode(Order, json.loads(_first_line()), "standard input")
    if os.getppid() != order.parent:  # it ended before this process asked to end with it
        os._exit(1)
    _name(f"rank {order.meeting.rank} of {order.meeting.ranks}")
    threading.Thread(target=_end_with_input, daemon=True).start()
    threading.Thread(target=_beat, args=[answer], daemon=True).start()
    # All ranks do the same: what the first has to say says it for all.
    level = os.environ.get("CORPUSMILL_LOG", "INFO" if order.meeting.rank == 0 else "WARNING")
    logging.basicConfig(level=level, handlers=[_Told(answer)])
    load_no_numba_extensions()
    try:
        answer.send({"done": order.work.do(order.meeting)})
        code = 0
    except BaseException as error:  # noqa: BLE001  # told, whatever it is
        answer.send({"failed": encode(fault_of(error))})
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of torch may wait for other ranks


def _name(words: str) -> None:
    """Name this process for lists of processes, of which Linux shows 15 characters."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, words.encode()[:15])


def _first_line() -> bytes:
    """The order, read from the descriptor itself, which a thread waits at later."""
    found = b""
    while not found.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            os._exit(1)
        found += piece
    return found


def _end_with_input() -> None:
    """End this process where whoever started it has ended."""
    while os.read(0, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _beat(answer: Answer) -> None:
    wait = threading.Event()
    while True:
        answer.send({"beat": resident_bytes()})
        wait.wait(BEAT_SECONDS)
