"""Units of earlier runs in an exchange: they stand behind its own, and are read where the runs keep them.

A run that is compared with earlier ones (`Step.known`) has a unit for each unit that these remember
(`remember`), earlier run first. `scatter` sends their rows among its own, side rows are read from the
earlier run by rounds that ask for them, and nothing that is found about them leaves `match`: they are never
removed, and of those that an earlier run removed only copies count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate, groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.contract.known import KNOWN, label_of, labels_from
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.layout import ROWS_FILE
from corpusmill.pipelines.run.operators.partitions import layout_at
from corpusmill.pipelines.run.operators.remember import SURVIVORS_FILE
from corpusmill.pipelines.storage.checked_ipc import CheckedFile, committed_file
from corpusmill.pipelines.storage.remote.mirrors import location_of, with_urls
from corpusmill.pipelines.storage.run_folder import StepFolder


class KnownUnits:
    """The units of the steps `folders`, numbered from `first` on. Files are of earlier runs: UserError names
    the run and the cure where one is damaged."""

    def __init__(self, folders: list[StepFolder], first: int) -> None:
        self.first, self._folders = first, folders
        self._ends = list(accumulate(len(folder.units) for folder in folders))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __bool__(self) -> bool:
        return bool(self._folders)

    def place(self, unit: int) -> tuple[int, StepFolder, int]:
        """The place of a unit's run, the step that remembers it there, and its number in that. Raises
        IndexError."""
        number = unit - self.first
        if not 0 <= number < len(self):
            raise IndexError(unit)
        run = bisect_right(self._ends, number)
        return run, self._folders[run], number - (self._ends[run - 1] if run else 0)

    def bytes(self, unit: int) -> int:
        """Text bytes of the documents of a unit."""
        _, folder, number = self.place(unit)
        with _of_earlier(folder):
            return folder.units.text_bytes(number)

    def all_bytes(self) -> int:
        """Text bytes of all units."""
        every = (folder.need_manifest().sources.values() for folder in self._folders)
        return sum(size for sources in every for _, size in sources)

    def content(self, unit: int) -> object:
        """What a unit sends to partitions, by content, ready for JSON."""
        return ["known", self.place(unit)[0], self.sha256(unit)]

    def sha256(self, unit: int) -> str:
        """The SHA-256 of the rows of a unit."""
        _, folder, number = self.place(unit)
        with _of_earlier(folder):
            return folder.entry(f"{number:05d}.{ROWS_FILE}").sha256

    def rows(self, unit: int) -> Iterator[pa.Table]:
        """Rows of a unit as its stage emitted them, with labels of this run; a batch at a time."""
        run, folder, number = self.place(unit)
        with _of_earlier(folder), committed_file(folder, f"{number:05d}.{ROWS_FILE}") as file:
            for index in range(len(file)):
                rows = labels_from(pa.Table.from_batches([file.batch(index)]), run)
                yield _with_unit(marked(rows, True), unit)

    @contextmanager
    def side_file(self, unit: int, name: str) -> Iterator[CheckedFile]:
        """The file of this suffix that holds side rows of a unit."""
        _, folder, number = self.place(unit)
        with _of_earlier(folder), committed_file(folder, f"{number:05d}.{name}") as file:
            yield file

    def labelled(self, unit: int, side: pa.Table) -> pa.Table:
        """Side rows of a unit with labels of this run."""
        return labels_from(side, self.place(unit)[0])

    def of_this_run(self, found: pa.Table) -> pa.Table:
        """Of pairs (`DUPLICATES`) those whose worse document is the run's own and whose better one counts.

        A known document that was removed counts for its copies alone, pairs at 1.0: these share its fate, so
        what survives it is named in its place, with the similarity to that.
        """
        if not self:
            return found
        found = found.filter(pc.less(found.column("unit"), pa.scalar(self.first, pa.uint32())))
        labels = [label_of(source) for source in found.column("survivor_source").to_pylist()]
        removed = np.array([label is not None and not label.kept for label in labels], bool)
        copies = found.column("similarity").to_numpy() >= 1.0
        rows = found.filter(pa.array(removed & copies)).sort_by("survivor_unit").to_pylist()
        for unit, some in groupby(rows, lambda pair: pair["survivor_unit"]):
            self._name_survivors(unit, list(some))
        return pa.concat_tables([found.filter(pa.array(~removed)), pa.Table.from_pylist(rows, found.schema)])

    def _name_survivors(self, unit: int, pairs: list[dict[str, Any]]) -> None:
        """Put into pairs, whose better documents are of one unit and were removed, what survives these."""
        _, folder, number = self.place(unit)
        with _of_earlier(folder), committed_file(folder, f"{number:05d}.{SURVIVORS_FILE}") as file:
            (batch,) = [file.batch(index) for index in range(len(file))]
        survivors = {row.pop("row"): row for row in batch.to_pylist()}
        for pair in pairs:
            label, found = label_of(pair["survivor_source"]), survivors[pair["survivor_row"]]
            assert label is not None
            pair |= {**found, "survivor_source": str(replace(label, told=found["survivor_source"]))}


def known_of_view(given: Preparation | Job[Any]) -> KnownUnits:
    """What a step that reads documents sees of earlier runs, behind the units of its view."""
    return KnownUnits(_folders(given), len(given.view))


def known_of_rows(given: Preparation | Job[Any]) -> KnownUnits:
    """What a step sees of earlier runs among rows that the last of its inputs sent to partitions."""
    folders = _folders(given)
    sent = layout_at(given.inputs[given.step.inputs[-1]]).units
    return KnownUnits(folders, sent - sum(len(folder.units) for folder in folders))


def _folders(given: Preparation | Job[Any]) -> list[StepFolder]:
    return [given.inputs[run] for run in given.step.known]


def marked(rows: pa.Table, known: bool) -> pa.Table:
    """Rows with the column that says whether they are of known documents."""
    return rows.append_column(KNOWN, pa.array(np.full(rows.num_rows, known)))


def _with_unit(rows: pa.Table, unit: int) -> pa.Table:
    place = rows.column_names.index("unit")
    numbers = pa.array(np.full(rows.num_rows, unit, np.uint32))
    return rows.set_column(place, rows.schema.field(place), numbers)


@contextmanager
def _of_earlier(folder: StepFolder) -> Iterator[None]:
    """Damage to what an earlier run remembers is mended there."""
    try:
        yield
    except IntegrityError as error:
        run = location_of(folder.path.parents[2])
        raise UserError(
            f"{with_urls(error.fault)}; it is of the earlier run {run}; run that run's recipe with "
            "--repair, then this command again"
        ) from error
