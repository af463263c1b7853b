"""Rounds of an exchange that are shown rows some at a time, for keys that very many rows have, or not all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.stage import Found


@dataclass(frozen=True)
class InWindows:
    """A `Round` that may be shown rows some at a time, where those of one key are more than should be in
    memory at once. `whole` is the round.

    `learn(known, rows)` is shown all rows first, in any windows, and gives what `some` has to know of all of
    them, from some rows and what was known before, None at first. `some(known, rows)` gives what `whole`
    makes of these rows among all; of all windows together it is what `whole` gives, in any order."""

    whole: Callable[[pa.Table], pa.Table | Found]
    learn: Callable[[pa.Table | None, pa.Table], pa.Table]
    some: Callable[[pa.Table, pa.Table], pa.Table | Found]
    again: Callable[[pa.Table], pa.Table | None] | None = None

    def known_of(self, windows: Callable[[], Iterable[pa.Table]]) -> pa.Table | None:
        """What is known of all rows, which `windows` gives anew for each look; None of no rows."""
        known = None
        while True:
            for rows in windows():
                known = self.learn(known, rows)
            more = None if known is None or self.again is None else self.again(known)
            if more is None:
                return known
            known = more

    def __call__(self, rows: pa.Table) -> pa.Table | Found:
        return self.whole(rows)


def learned_first(
    learn: Callable[[pa.Table | None, pa.Table], pa.Table],
    some: Callable[[pa.Table, pa.Table], pa.Table | Found],
) -> InWindows:
    """A round of which all rows at once are one window."""
    return InWindows(lambda rows: some(learn(None, rows), rows), learn, some)


@dataclass(frozen=True)
class OfSeveral:
    """A `Round` that makes nothing of a key that one row alone has: it is shown rows of other keys only."""

    whole: Callable[[pa.Table], pa.Table | Found]

    def __call__(self, rows: pa.Table) -> pa.Table | Found:
        return self.whole(rows)
