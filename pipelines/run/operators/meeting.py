"""One partition of rows shown to a round of an exchange, apart from what the stage raises on or dies of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.stage import Round, WithSides
from corpusmill.pipelines.contract.windows import InWindows, OfSeveral
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.apart import Rows, Trier, is_of_input, key_ends
from corpusmill.pipelines.run.operators.job import Job
from corpusmill.pipelines.run.operators.known_units import known_of_rows
from corpusmill.pipelines.run.operators.left_out import addresses, left_out, read_left_out, write_left_out
from corpusmill.pipelines.run.operators.marker import PARTS
from corpusmill.pipelines.run.operators.partitions import (
    PartPartition,
    read_partition,
    read_windows,
)
from corpusmill.pipelines.run.operators.row_order import with_sorted_ties
from corpusmill.pipelines.run.operators.sides import by_unit, documents_of, pieces
from corpusmill.pipelines.storage.run_folder import Attempt

Result = TypeVar("Result")
Meeting = TypeVar("Meeting", bound=PartPartition)
_Shown = tuple[int, pa.Table, Callable[[Rows], object]]

FIRST = 2**46  # ordinal of the first row that is shown in windows, and of all windows together
IN_HAND = PARTS + 2**46


def meet(
    job: Job[Meeting],
    attempt: Attempt,
    number: int,
    checked: Callable[[object], Result],
    write: Callable[[Iterator[list[Result]]], UnitResult],
) -> UnitResult:
    """What `write` gives, who is given what round `number` of the job's stage makes of the rows of the job's
    partition, through `checked`: of each part of them that is shown at once, in one result or, where the
    stage raised, several. It is given all of it anew, to empty files, where the stage raised on a window.

    The job's first input are the rows, its last is the step that kept side rows of its documents. Documents
    left out before have no rows any more. Those left out now, and (in partition 0) before, go to the
    attempt's file, once all is taken. Memory: the partition, or of a round `InWindows`, where one key has
    more, a window of it and what is known, in a careful attempt too; of a round with side tables also a
    unit's, and what it makes of `sides.PIECE_BYTES` of them.
    """
    try:
        return write(_met(job, attempt, number, checked, in_windows=True))
    except _WindowError:
        attempt.empty()
        return write(_met(job, attempt, number, checked, in_windows=False))


class _WindowError(Exception):
    """A round raised on rows of a window: all rows must be at hand to find out which are at fault."""


def _met(
    job: Job[Meeting],
    attempt: Attempt,
    number: int,
    checked: Callable[[object], Result],
    *,
    in_windows: bool,
) -> Iterator[list[Result]]:
    """What `write` is given; without windows all rows of the partition are at hand. Raises _WindowError
    where the stage raises on one that it has learned."""
    (stage,) = job.stages()
    this = stage.rounds()[number - 1]
    of = job.unit
    windows = _Windows(job, attempt, read_left_out(job.first))
    forward = [windows.left] if of.partition == of.part == 0 else []
    forward += windows.leave_out_poison()
    if in_windows and isinstance(this, InWindows) and windows.several():
        forward += windows.leave_out_alone(stage.name, lambda rows: checked(this.whole(rows)))
        known = windows.learn(this)
        if known is not None:
            for some in windows:
                yield [_of_window(lambda some: checked(this.some(known, some)), some)]
            windows.rest()
            write_left_out(attempt, forward)
            return
    windows.rest()
    before = windows.left
    shared = isinstance(this, OfSeveral)
    rows = read_partition(job.first, of.partition, of.part, of.parts, shared=shared)
    trier: Trier[Result] = Trier(stage.name, checked, job.poison, job.marker(attempt))
    if rows is not None and number > 1:
        rows = with_sorted_ties(rows)
    if rows is not None:
        rows = _judged(rows, before)
    for first, part, work in _shown(this, rows, job):

        def reduce(some: Rows, work: Callable[[Rows], object] = work) -> Result:
            return checked(work(some))

        trier.first, trier.apply = first, reduce
        apart = trier.groups(key_ends(part))
        yield apart.results
        guilty, causes = apart.left_out()
        unit, row = (part.column(name).to_numpy()[guilty] for name in ("unit", "row"))
        forward.append(left_out(unit, row, causes))
    write_left_out(attempt, forward)


def _of_window(apply: Callable[[pa.Table], Result], rows: pa.Table) -> Result:
    try:
        return apply(rows)
    except (Exception, SystemExit) as error:
        if not is_of_input(error):
            raise
        raise _WindowError from error


def _judged(rows: pa.Table, left: pa.Table) -> pa.Table:
    """Rows without those of documents that were left out."""
    if not left.num_rows:
        return rows
    return rows.filter(pa.array(~np.isin(addresses(rows), addresses(left)))).combine_chunks()


class _Windows:
    """The rows of a part of a partition, window by window, without those of documents that are left out.

    A careful attempt shows the round each row alone first, and notes it, and then has all windows in hand
    (`IN_HAND`). Where these are found to end workers, though no row does alone, all rows are read at once.
    """

    def __init__(self, job: Job[Any], attempt: Attempt, left: pa.Table) -> None:
        self._job, self.left = job, left
        self._marker = job.marker(attempt)

    def __iter__(self) -> Iterator[pa.Table]:
        for rows in self._all():
            yield _judged(rows, self.left)

    def _all(self) -> Iterator[pa.Table]:
        of = self._job.unit
        return read_windows(self._job.first, of.partition, of.part, of.parts)

    def several(self) -> bool:
        """Whether there is more than one, which are not known to end workers."""
        if IN_HAND in self._job.poison or self._job.unit.parts == 1:
            return False
        return len(list(islice(self._all(), 2))) > 1

    def leave_out_poison(self) -> list[pa.Table]:
        """What is to be left out from now on of the documents that were found to end workers alone."""
        poison = {place: cause for place, (_, cause) in self._job.poison.items() if FIRST <= place < PARTS}
        found, first = [], FIRST
        for rows in self._all() if poison else ():
            here = [place for place in sorted(poison) if first <= place < first + rows.num_rows]
            at = np.array(here, np.int64) - first
            unit, row = (rows.column(name).to_numpy()[at] for name in ("unit", "row"))
            found.append(left_out(unit, row, [poison[place] for place in here]))
            first += rows.num_rows
        self.left = pa.concat_tables([self.left, *found])
        return found

    def leave_out_alone(self, stage: str, apply: Callable[[pa.Table], object]) -> list[pa.Table]:
        """In a careful attempt, what is to be left out of the documents on which the stage raises alone."""
        found: list[pa.Table] = []
        if self._marker is None:
            return found
        trier: Trier[object] = Trier(stage, len, self._job.poison, self._marker, FIRST)
        for rows in self._all():
            gone = np.isin(addresses(rows), addresses(self.left))

            def alone(some: Rows, rows: pa.Table = rows, gone: npt.NDArray[np.bool_] = gone) -> object:
                return None if gone[some[0]] else apply(_some(rows, some))

            trier.apply = alone
            guilty, causes = trier.documents(rows.num_rows).left_out()
            trier.first += rows.num_rows
            unit, row = (rows.column(name).to_numpy()[guilty] for name in ("unit", "row"))
            found.append(left_out(unit, row, causes))
        self.left = pa.concat_tables([self.left, *found])
        return found

    def learn(self, this: InWindows) -> pa.Table | None:
        """What the round must know of all rows; None where it raises on them, which is looked into with all
        rows at hand, and in an attempt for a document or group that was met there."""
        if self._marker is not None:
            if self._marker.skips(IN_HAND):
                return None
            self._marker.note(IN_HAND, 0)
        try:
            return this.known_of(lambda: self)
        except (Exception, SystemExit) as error:
            if not is_of_input(error):
                raise
            return None

    def rest(self) -> None:
        """Nothing is in hand any more."""
        if self._marker is not None:
            self._marker.rest(0)


def _shown(this: Round | WithSides, rows: pa.Table | None, job: Job[Any]) -> Iterator[_Shown]:
    """Rows as the round is shown them, part by part: where a part begins, its rows, and what to do with some
    of them."""
    if rows is None or not rows.num_rows:
        return
    if not isinstance(this, WithSides):
        yield 0, rows, lambda some: this(_some(rows, some))
        return
    for start, of_unit, sides in by_unit(
        job.inputs[job.step.inputs[-1]], rows, known_of_rows(job), packed=this.packed
    ):
        for first, part, side in pieces(of_unit, sides, this.at_once):

            def work(some: Rows, part: pa.Table = part, side: pa.Table = side) -> object:
                asked = np.unique(documents_of(part)[1][some])
                return this.work(_some(part, some), _some(side, asked))

            yield start + first, part, work


def _some(table: pa.Table, rows: Rows) -> pa.Table:
    return table if len(rows) == table.num_rows else table.take(pa.array(rows)).combine_chunks()
