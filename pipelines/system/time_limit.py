"""A bound on the processor time of one piece of work, beyond which the worker ends.

Code of a library that never comes back to Python can be stopped by nothing else than a signal. Linux sends
SIGVTALRM once a process has used so much processor time of its own, and a process that does not listen for it
ends. The engine then treats the work as what kills a worker: the document is looked for and quarantined (see
`blame`). Time of the processor, so a busy machine changes nothing. A process that is not a worker's own, as
with the engine `inline`, is never ended, and has no such bound.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_may_end = [False]


def let_limits_end_this_process() -> None:
    """From now on limits hold: to be called by workers, which are replaced when they end."""
    _may_end[0] = True


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End this process if the work inside uses more processor time than `seconds`, in a worker."""
    if not _may_end[0]:
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
