"""Places where a fault test may kill the run.

`CORPUSMILL_FAULTPOINT=name:n` sends SIGKILL to the whole process group the n-th time this process reaches
the point `name`. Unset (always, outside the fault tests), a point costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal

_seen: dict[str, int] = {}


def faultpoint(name: str) -> None:
    """Die here if the environment asks for it."""
    wanted = os.environ.get("CORPUSMILL_FAULTPOINT")
    if wanted is None:
        return
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _seen[name] = _seen.get(name, 0) + 1
    if _seen[name] == int(count or 1):
        os.killpg(0, signal.SIGKILL)
