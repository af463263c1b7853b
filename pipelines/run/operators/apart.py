"""Where a stage raises, or its worker died, on some of what it is given: find out on which, and leave it out.

What is given is halved until one document, or one group of rows that must meet, is alone with the fault. In
careful mode, after a unit has killed its worker or run out of time, everything passes one by one and what is
in hand is noted in the marker first, so that the scheduler can name it. Sound units know neither: a stage
sees all of a batch or partition at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.causes import cause_of, words_of
from corpusmill.pipelines.run.operators.marker import PARTS, Marker
from corpusmill.pipelines.storage.removed import quarantined_table

Result = TypeVar("Result")
Rows = npt.NDArray[np.int64]
Poison = Mapping[int, tuple[str, str]]  # ordinal -> (stage, cause)

# A stage that fails on this many documents or groups in a row, with no success, is itself at fault.
STAGE_AT_FAULT = 8


def is_of_input(error: BaseException) -> bool:
    """Whether what a reader or stage raised may be the fault of what it was given.

    It is not where the installation, the machine or the run's own files are at fault: a missing library, a
    disk that fails (an OSError with a number; Arrow raises it without one for corrupt data), or a deliberate
    error other than that about data. `sys.exit` in a stage is an error like others.
    """
    if isinstance(error, DataError):
        return True
    if isinstance(error, OSError):
        return error.errno is None
    return not isinstance(error, (CorpusmillError, ImportError))


@dataclass
class Apart(Generic[Result]):
    """`results` of what is sound, in order; `faults`: rows, and why they are left out."""

    results: list[Result] = field(default_factory=list)
    faults: list[tuple[Rows, str]] = field(default_factory=list)

    def left_out(self) -> tuple[Rows, list[str]]:
        """The rows that are left out in order, and the cause of each."""
        if not self.faults:
            return np.zeros(0, np.int64), []
        rows = np.concatenate([numbers for numbers, _ in self.faults])
        causes = [cause for numbers, cause in self.faults for _ in numbers]
        order = np.argsort(rows, kind="stable")
        return rows[order], [causes[place] for place in order.tolist()]


@dataclass
class Trier(Generic[Result]):
    """Applies the stage called `name` to rows 0 to n - 1, all at once where that goes well.

    `apply` gets row numbers, in order. `first` is the ordinal of row 0 in its unit. Every method raises what
    `apply` raised where it is no fault of the input, and CorpusmillError where it raised on each of the first
    `STAGE_AT_FAULT` documents or groups, of all calls together: to go on with other rows, give the same Trier
    another `first` and an `apply` that sees them.
    """

    name: str
    apply: Callable[[Rows], Result]
    poison: Poison
    marker: Marker | None
    first: int = 0
    _failures: int = 0
    _passed: bool = False

    def documents(self, count: int) -> Apart[Result]:
        """Rows that are each sound or not by themselves."""
        found: Apart[Result] = Apart()
        if self.marker is None and not self.poison:
            self._halve(np.arange(1, count + 1), found, "documents")
            return found
        for row in range(count):
            self._one(np.array([row]), self.first + row, found)
        return found

    def groups(self, ends: Rows | Sequence[int]) -> Apart[Result]:
        """Groups of rows that `apply` must see together; group g ends before row `ends[g]`.

        Of a group that fails, the documents that fail alone are left out and the rest is tried again; where
        none fails alone, the whole group is left out.
        """
        found: Apart[Result] = Apart()
        ends = np.asarray(ends, np.int64)
        if self.marker is None and not self.poison:
            self._halve(ends, found, "groups of rows")
            return found
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            group = PARTS + self.first + start
            if self.marker is not None and self.marker.skips_documents and self.marker.skips(group):
                continue
            rest = self._sound_alone(np.arange(start, end), found)
            if len(rest):
                self._one(rest, group, found)
        return found

    def _halve(self, ends: Rows, found: Apart[Result], named: str) -> None:
        todo = [(0, len(ends))] if len(ends) else []
        while todo:
            first, last = todo.pop()
            rows = np.arange(ends[first - 1] if first else 0, ends[last - 1])
            try:
                found.results.append(self.apply(rows))
            except (Exception, SystemExit) as error:
                if not is_of_input(error):
                    raise
                if last - first > 1:
                    half = (first + last) // 2
                    todo += [(half, last), (first, half)]  # the first half comes off first
                    continue
                self._leave_out(rows, error, found)
                self._failures += 1
                self._passed = self._passed or bool(found.results)
                if self._failures >= STAGE_AT_FAULT and not self._passed:
                    cause = words_of(error)
                    raise CorpusmillError(
                        f"stage {self.name} raised on each of the first {self._failures} {named}: {cause}"
                    ) from error
        self._passed = self._passed or bool(found.results)

    def _leave_out(self, rows: Rows, error: BaseException, found: Apart[Result]) -> None:
        """A group that fails: without the rows that fail alone, or as a whole."""
        rest = self._sound_alone(rows, found) if len(rows) > 1 else rows
        if 0 < len(rest) < len(rows):
            self._one(rest, PARTS + self.first + int(rows[0]), found)
        elif len(rest):
            found.faults.append((rest, cause_of(error)))

    def _sound_alone(self, rows: Rows, found: Apart[Result]) -> Rows:
        """Those of `rows` that pass alone; the others enter `found`."""
        alone: Apart[Result] = Apart()
        for place in range(len(rows)):
            self._one(rows[place : place + 1], self.first + int(rows[place]), alone)
        found.faults += alone.faults
        return np.setdiff1d(rows, alone.left_out()[0])

    def _one(self, rows: Rows, ordinal: int, found: Apart[Result]) -> None:
        if self.marker is not None and self.marker.skips(ordinal):
            return
        if ordinal in self.poison:
            found.faults.append((rows, self.poison[ordinal][1]))
            return
        if self.marker is not None:
            self.marker.note(ordinal, 0)
        try:
            found.results.append(self.apply(rows))
        except (Exception, SystemExit) as error:
            if not is_of_input(error):
                raise
            found.faults.append((rows, cause_of(error)))
        if self.marker is not None:
            self.marker.rest(ordinal + 1)


def leave_out(docs: Documents, stage: str, causes: Sequence[str], ledger: Ledger) -> pa.Table:
    """`REMOVED` rows of documents that came to `stage` and are quarantined; the ledger counts both."""
    rows = quarantined_table(docs, stage, causes)
    for source, reason, size in zip(
        docs.column("source").to_pylist(),
        rows.column("reason").to_pylist(),
        docs.sizes().tolist(),
        strict=True,
    ):
        entry = ledger.entry(stage, source)
        entry.arrive(1, size)
        entry.quarantine(reason, 1, size)
    return rows


def key_ends(rows: pa.Table) -> Rows:
    """Where each run of equal `key` ends, int64[k], of rows sorted by it."""
    keys = rows.column("key").to_numpy()
    return np.append(np.flatnonzero(keys[1:] != keys[:-1]) + 1, len(keys))[: len(keys)]
