"""Places where a fault test may kill the run, or hold it up.

`CORPUSMILL_FAULTPOINT=name:n` sends SIGKILL to the whole process group the n-th time this process reaches
the point `name`. `CORPUSMILL_FAULTPOINT=name:n:file` creates `file` there instead and waits for SIGTERM or
SIGINT, so that a test sends one at a known place, however slow the machine is. Unset (always, outside the
fault tests), a point costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

_seen: dict[str, int] = {}


def faultpoint(name: str) -> None:
    """Die or wait here if the environment asks for it."""
    wanted = os.environ.get("CORPUSMILL_FAULTPOINT")
    if wanted is None:
        return
    point, _, place = wanted.partition(":")
    if point != name:
        return
    count, _, file = place.partition(":")
    _seen[name] = _seen.get(name, 0) + 1
    if _seen[name] != int(count or 1):
        return
    if file:
        _wait_for_a_signal(Path(file))
    else:
        os.killpg(0, signal.SIGKILL)


def _wait_for_a_signal(reached: Path) -> None:
    """Create the file, then return once the process's own handler has seen a signal. Main thread only."""
    heard: list[int] = []
    handlers: dict[int, Any] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if callable(handlers[number]):
            handlers[number](number, frame)

    for number in (int(signal.SIGTERM), int(signal.SIGINT)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            handlers[number] = signal.signal(number, hear)
    reached.touch()
    while not heard:
        time.sleep(0.01)
    for number, handler in handlers.items():
        signal.signal(number, handler)
