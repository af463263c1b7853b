"""Stopping when asked: SIGTERM and SIGINT become a flag that is looked at between pieces of the work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from corpusmill.pipelines.contract.errors import Interrupted


@dataclass
class StopRequest:
    """`asked` is set by the first signal."""

    asked: bool = False
    before: dict[int, Any] = field(default_factory=dict)

    def notice(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        handler = self.before[number]
        first, self.asked = not self.asked, True
        # Whoever listened before is told as well: within the runner's own process that is the runner, which
        # must not try the unit again. The first Ctrl-C alone is not passed on to Python's own listener.
        if callable(handler) and not (first and handler is signal.default_int_handler):
            handler(number, frame)


_listening: ContextVar[StopRequest | None] = ContextVar("listening", default=None)


def stop_here_if_asked() -> None:
    """Raises Interrupted where a stop was asked for and somebody listens who can keep the work's state.

    For long work that changes nothing, such as judging a model, to call between its pieces.
    """
    request = _listening.get()
    if request is not None and request.asked:
        raise Interrupted("stopped while judging the model")


@contextmanager
def stop_when_asked() -> Iterator[StopRequest]:
    """A request that signals set while the context lasts; their handlers come back after.

    A signal that was ignored stays ignored: a worker leaves Ctrl-C to the runner. A second signal has the
    effect that it had before, but for one that would end the process: a process group's SIGTERM reaches a
    worker twice, by itself and through the runner, and stopping is under way. Only the main thread can
    listen to signals; elsewhere nothing sets the flag.
    """
    request = StopRequest()
    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGTERM), int(signal.SIGINT)):
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN and handler is not None:
                request.before[number] = handler
                signal.signal(number, request.notice)
    outer = _listening.set(request)
    try:
        yield request
    finally:
        _listening.reset(outer)
        for number, handler in request.before.items():
            signal.signal(number, handler)
