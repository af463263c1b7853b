"""Units that take far longer than others of their step: done a second time elsewhere, and the first one wins.

A machine that fails slowly (a disk with errors, a neighbour that takes the processor) holds up a whole step
at its end. Once workers are free, a unit over three times the median of its step is given to another one,
with what waits behind it in its batch. Both attempts give the same bytes; `storage/run_folder` says why two
that commit at the same time do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.run.load import Batch
from corpusmill.pipelines.run.pace import Pace
from corpusmill.pipelines.run.watch import Running

LATE_TIMES = 3.0  # of the median of its step
LATE_SECONDS = 30.0  # at least
LATE_UNITS = 30  # of the step that were done, at least


def stragglers(
    running: Mapping[int, Running], paces: Mapping[str, Pace], now: float
) -> list[list[tuple[int, Running]]]:
    """Batches to be made for a second attempt: each unit that is late alone, and what waits behind it.

    Units that are tried with care, or want to be alone, have limits of their own.
    """
    late = {running[ticket].batch: ticket for ticket in running if _is_late(running[ticket], paces, now)}
    behind: dict[Batch, list[tuple[int, Running]]] = {}
    for ticket, one in running.items():
        if one.batch in late and ticket != late[one.batch] and one.twin is None and not one.void:
            behind.setdefault(one.batch, []).append((ticket, one))
    return [[(ticket, running[ticket])] for ticket in late.values()] + list(behind.values())


def _is_late(one: Running, paces: Mapping[str, Pace], now: float) -> bool:
    if one.seen is None or one.twin is not None or one.void or one.unit.single:
        return False
    pace = paces.get(one.unit.step)
    if pace is None or pace.count < LATE_UNITS or now - one.marked <= LATE_SECONDS:
        return False
    return now - one.marked > LATE_TIMES * pace.median
