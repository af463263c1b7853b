"""First part of a fold: the partial of one unit of documents, or of several where these are many.

Documents that the stage raises on, or dies of, are left out of the artefact, and counted as quarantined by
this step; they stay in their dataset. Memory: the stage's partial and one row group.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.context import OfCorpus
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import ROW, UNIT, Fold
from corpusmill.pipelines.contract.unit_progress import note_part
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.apart import Rows, Trier, is_of_input, leave_out
from corpusmill.pipelines.run.operators.grouping import Bounds
from corpusmill.pipelines.run.operators.job import (
    Job,
    Lazily,
    Preparation,
    ViewUnit,
    ViewUnits,
    any_marked,
    marks_of,
    stage_class,
    view_content,
)
from corpusmill.pipelines.run.operators.layout import FILE_BYTES, together
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.checked_ipc import read_batches, write_batches
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt

PARTIAL_FILE = "partial.arrow"  # a unit's number stands before it
LEAST_UNITS = 64  # of a step whose units take several of the view each


def units(preparation: Preparation) -> Sequence[ViewUnits]:
    """One for each unit of the view or, where these are many, for several, whose bounds follow from what they
    hold: one more or less changes few others."""
    view = preparation.view
    size = sum(size for _, size in view.totals().values())
    most = together(len(view), size, LEAST_UNITS)
    if most == 1:
        return Lazily(len(view), lambda number: ViewUnits(number, number + 1))
    bounds, firsts = Bounds(FILE_BYTES, most), array("Q")
    for number, (name, file_content) in enumerate(view.contents()):
        if bounds.begins(name, file_content):
            firsts.append(number)
    firsts.append(len(view))
    return Lazily(len(firsts) - 1, lambda place: ViewUnits(firsts[place], firsts[place + 1]))


def work(job: Job[ViewUnits], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    if isinstance(stage, OfCorpus):
        stage = stage.of_corpus(*_about(job))
    marker = job.marker(attempt)
    if marker is None and not job.poison:
        try:
            partial = stage.map(_documents(job, stage, stage.columns))
        except Exception as error:
            if not is_of_input(error):
                raise
        else:
            write_partial(attempt.file(PARTIAL_FILE), partial)
            return UnitResult(partial.num_rows)
    ledger = Ledger()
    bad: list[npt.NDArray[np.bool_]] = []
    removed: list[pa.Table] = []
    first = 0
    # With all columns: what is left out is told with its id, source and size, whatever the stage reads.
    for docs in _documents(job, stage, None):

        def alone(some: Rows, docs: Documents = docs) -> None:
            stage.map(iter([_shown(docs.slice(int(some[0]), len(some)), stage)]))

        guilty, causes = Trier(stage.name, alone, job.poison, marker, first).documents(len(docs)).left_out()
        first += len(docs)
        bad.append(np.isin(np.arange(len(docs)), guilty))
        removed.append(leave_out(docs.keep(bad[-1]), stage.name, causes, ledger))
    again = zip(_documents(job, stage, stage.columns), bad, strict=True)
    partial = stage.map(docs.keep(~guilty) for docs, guilty in again)
    write_partial(attempt.file(PARTIAL_FILE), partial)
    write_removed(attempt.file("removed.arrow"), removed)
    return UnitResult(partial.num_rows, ledger.record())


def _documents(job: Job[ViewUnits], stage: Fold, columns: tuple[str, ...] | None) -> Iterator[Documents]:
    """The documents of its units, with `columns` (None: all) and, where the stage asks, addresses."""
    for unit in range(job.unit.first, job.unit.end):
        note_part(unit - job.unit.first, job.unit.end - job.unit.first)
        for docs, rows in job.view.batches(unit, columns):
            if stage.addressed:
                units = pa.array(np.full(len(docs), unit, np.uint32))
                docs = docs.with_columns({UNIT: units, ROW: pa.array(rows, pa.uint32())})
            yield docs


def _shown(docs: Documents, stage: Fold) -> Documents:
    """These documents with the columns that the stage is given."""
    if stage.columns is None:
        return docs
    return Documents(docs.table.select([*stage.columns, *((UNIT, ROW) if stage.addressed else ())]))


def write_partial(path: Path, partial: pa.Table) -> None:
    """A partial as one Arrow IPC file, schema metadata included."""
    batches = partial.combine_chunks().to_batches()
    write_batches(path, partial.schema, batches or [pa.RecordBatch.from_pylist([], schema=partial.schema)])


def read_partial(path: Path) -> pa.Table:
    """The partial of one file."""
    return pa.Table.from_batches(list(read_batches(path)))


def _about(given: Preparation | Job[ViewUnits]) -> tuple[int, int]:
    """Documents and bytes of the view before its masks, each rounded down to a power of two."""
    totals = given.view.totals().values()
    sums = sum(count for count, _ in totals), sum(size for _, size in totals)
    documents, size = (1 << max(0, number.bit_length() - 1) for number in sums)
    return documents, size


def _content(given: Preparation | Job[ViewUnits], unit: ViewUnits) -> object:
    """A stage that is given addresses depends on where its units stand, unless marks say that nothing of
    their documents stays; one that is told of the corpus on about how large that is."""
    stage = stage_class(given.step.stages[0])
    units = [ViewUnit(number) for number in range(unit.first, unit.end)]
    content: list[object] = [view_content(given, one) for one in units]
    if issubclass(stage, OfCorpus):
        content.append({"of": _about(given)})
    if getattr(stage, "addressed", True):
        if not marks_of(given.step):
            return None
        if any(any_marked(given, one) for one in units):
            content.append({"from": unit.first})
    return content


def _weigh(preparation: Preparation, unit: ViewUnits) -> int:
    return sum(preparation.view.input_bytes(number) for number in range(unit.first, unit.end))


OPERATOR = Operator(
    "fold_map",
    reads="documents",
    writes="partials",
    unit=ViewUnits,
    units=units,
    content=_content,
    work=work,
    isolates=True,
    weigh=_weigh,
    lists_removed="where any",
    leaves_in_place=True,
)
