"""SIGINT and SIGTERM while a run is on: the first asks it to stop, the second stops it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from corpusmill.pipelines.contract.errors import Interrupted


class Stop:
    """Within `with`, the first signal sets `asked`, and the next raises Interrupted wherever the run is.

    Only the main thread may listen to signals: in any other nothing is asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether a signal came; it may at any time."""
        return self._asked

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._hear) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._asked:  # asked twice: do not wait for the current poll
            raise Interrupted("stopped at once; run the same command to go on")
        self._asked = True
