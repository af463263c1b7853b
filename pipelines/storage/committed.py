"""The committed units of a step that is not complete yet: segments on disk, and the rest in memory.

As soon as all units of a segment are there, their receipts become one file of columns and leave memory
and the folder, so that a step of a million units never has more than a few times `SEGMENT` of them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.manifest import SegmentEntry
from corpusmill.pipelines.records.receipt import DatasetPart, FileEntry, Receipt
from corpusmill.pipelines.records.unit_columns import receipt_of
from corpusmill.pipelines.storage.not_kept import there
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.segments import (
    SEGMENT,
    Segment,
    content_of_parts,
    entry_of,
    sources_of,
    write_segment,
)
from corpusmill.pipelines.storage.step_units import Checker


class Totals:
    """Sums over units: the ledger, and documents and bytes written by source. `left_out`: rows that came to a
    stage and were not written, since it could not work on them."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.sources: dict[str, tuple[int, int]] = {}
        self.left_out = 0

    def add(self, units: Iterable[Receipt]) -> None:
        for unit in units:
            self.ledger.add(unit.ledger)
            if isinstance(unit.part, DatasetPart):
                self.left_out += unit.part.left_out
            for source, (documents, size) in sources_of([unit]).items():
                had = self.sources.get(source, (0, 0))
                self.sources[source] = had[0] + documents, had[1] + size


class Committed:
    """Receipts of units of the step at `folder`, by number."""

    def __init__(self, folder: StepFolder) -> None:
        self._folder = folder
        self._entries: dict[int, SegmentEntry] = {}  # by the number of the segment
        self._open: dict[int, dict[int, Receipt]] = {}  # of segments that are not whole
        self._totals: dict[int, Totals] = {}  # of segments that are

    def load(self) -> None:
        """Find what an interrupted run has left.

        A unit counts whose receipt is sound and whose files are there and of their sizes; a segment that is
        damaged, or has lost a file, is taken apart into the receipts of its other units.
        """
        if self._folder.store is not None:
            self._folder.store.fetch_units(self._folder.path)
        for segment in self._folder.found_segments():
            units = self._sound(segment)
            if units:
                self._hold(segment.path.name, units)
        for number in self._folder.single_receipts():
            if number not in self:
                receipt = self._folder.receipt(number)
                if receipt is not None:
                    self._open.setdefault(number // SEGMENT, {})[number] = receipt
        self._close_whole()

    def _sound(self, segment: Segment) -> list[Receipt]:
        """Units of a segment that stand; those of one that is taken apart get receipts of their own again."""
        try:
            units = segment.receipts()
        except IntegrityError:
            self._folder.remove_segment(segment)
            return []
        sound = [unit for unit in units if not any(map(self._folder.lost, unit.files))]
        if len(sound) < len(units):
            take_apart(self._folder, segment, sound)
            return []
        return units

    def _hold(self, name: str, units: list[Receipt]) -> None:
        number, rest = divmod(units[0].unit, SEGMENT)
        if rest == 0 and len(units) == SEGMENT:
            self._entries[number] = entry_of(name, units)
            self._totals[number] = Totals()
            self._totals[number].add(units)
        else:
            self._open.setdefault(number, {}).update({unit.unit: unit for unit in units})

    def add(self, receipt: Receipt) -> None:
        """A unit that has just been committed."""
        number = receipt.unit // SEGMENT
        self._open.setdefault(number, {})[receipt.unit] = receipt
        if len(self._open[number]) == SEGMENT:
            self._close(number)

    def _close_whole(self) -> None:
        for number in [number for number, units in self._open.items() if len(units) == SEGMENT]:
            self._close(number)

    def _close(self, number: int) -> None:
        """Write a segment; the single receipts of its units go."""
        units = [receipt for _, receipt in sorted(self._open[number].items())]
        self._entries[number] = write_segment(self._folder.segments, self._folder.place, units)
        self._totals[number] = Totals()
        self._totals[number].add(units)
        del self._open[number]
        for unit in units:
            self._folder.receipt_path(unit.unit).unlink(missing_ok=True)

    def __len__(self) -> int:
        return SEGMENT * len(self._entries) + sum(len(units) for units in self._open.values())

    def __contains__(self, number: int) -> bool:
        part = number // SEGMENT
        return part in self._entries or number in self._open.get(part, {})

    def __getitem__(self, number: int) -> Receipt:
        """The receipt of a unit. Raises KeyError where it is not committed."""
        part = number // SEGMENT
        if part in self._entries:
            path = self._folder.segments / self._entries[part].name
            columns = Segment(path, self._folder.place).columns()
            return receipt_of(columns, number % SEGMENT, number, str(path))
        return self._open[part][number]

    def keys(self) -> dict[int, str | None]:
        """The key of each unit, by number."""
        found = {number: unit.key for units in self._open.values() for number, unit in units.items()}
        for entry in self._entries.values():
            units = Segment(self._folder.segments / entry.name, self._folder.place).receipts()
            found |= {unit.unit: unit.key for unit in units}
        return found

    def forget(self) -> None:
        """Let all units be done again."""
        self._folder.forget_units()
        for known in (self._entries, self._open, self._totals):
            known.clear()

    def finish(self) -> list[SegmentEntry]:
        """Write what is left; every unit must be there. Returns all segments in order."""
        for number in sorted(self._open):
            self._close(number)
        return [self._entries[number] for number in sorted(self._entries)]

    def totals(self) -> Totals:
        """Sums over all units; call it after `finish`."""
        whole = Totals()
        for number in sorted(self._totals):
            part = self._totals[number]
            whole.ledger.add(part.ledger.record())
            whole.left_out += part.left_out
            for source, (documents, size) in part.sources.items():
                had = whole.sources.get(source, (0, 0))
                whole.sources[source] = had[0] + documents, had[1] + size
        return whole

    @property
    def rows(self) -> int:
        """Rows of all units; call it after `finish`."""
        return sum(entry.rows for entry in self._entries.values())

    @property
    def bytes(self) -> int:
        """Bytes of all files; call it after `finish`."""
        return sum(entry.bytes for entry in self._entries.values())

    @property
    def content(self) -> str:
        """The content hash; call it after `finish`."""
        return content_of_parts(self._entries[number].content for number in sorted(self._entries))


class CommittedByName:
    """The units of a step that are committed, by the names of receipts and segments: nothing is read."""

    def __init__(self, folder: StepFolder) -> None:
        names = folder.unit_names()
        spans = (segment.span for segment in folder.found_segments(names))
        self._spans = [range(first, first + count) for first, count in spans]
        self._singles = {number for number in folder.single_receipts(names) if not self._within(number)}

    def _within(self, number: int) -> bool:
        return any(number in span for span in self._spans)

    def __len__(self) -> int:
        return len(self._singles) + sum(len(span) for span in self._spans)

    def __contains__(self, number: int) -> bool:
        return number in self._singles or self._within(number)


def count_committed(folder: StepFolder) -> int:
    """How many units of a step are committed, by the names of receipts and segments: nothing is read."""
    return len(CommittedByName(folder))


def earlier(folder: StepFolder, unit: int) -> Receipt:
    """The receipt of a committed unit of a step at work, for later levels of the step.

    The runner may put it into a segment at any moment. Raises IntegrityError where it is nowhere.
    """
    for _ in range(2):
        if folder.has_receipt(unit) and (found := folder.receipt(unit)) is not None:
            return found
        for segment in folder.found_segments():
            first, count = segment.span
            if first <= unit < first + count:
                return receipt_of(segment.columns(), unit - first, unit, str(segment.path))
        if folder.store is not None:  # of a step that is repaired
            folder.store.fetch_units(folder.path)
    raise damaged(f"{folder.receipt_path(unit)}: missing or damaged, or a file of its unit is")


def earlier_file(folder: StepFolder, unit: int, suffix: str) -> Path:
    """A file of a committed unit of a step at work, verified as by `StepFolder.file`."""
    name = f"{unit:05d}.{suffix}"
    path = folder.data / name
    entry = next((file for file in earlier(folder, unit).files if file.name == name), None)
    if entry is None:
        raise damaged(f"{path}: its unit has no such file")
    fault = folder.fault(entry)
    if fault is not None:
        raise damaged(fault)
    return path


def files_of_others(folder: StepFolder) -> Iterator[FileEntry]:
    """Files of other versions of the step at `folder`, complete or begun, but those that were removed after
    use: of a run on object storage, whose versions share objects. Raises IntegrityError."""
    run = RunFolder(folder.path.parents[2])
    complete = run.versions(folder.path.parent.name)
    for version in complete:
        if version != folder:
            yield from there(version.path, version.units.files())
    for version in run.begun_versions():
        if version.path.parent != folder.path.parent or version in (folder, *complete):
            continue
        if version.store is not None:
            version.store.fetch_units(version.path)
        for segment in version.found_segments():
            yield from chain.from_iterable(unit.files for unit in segment.receipts())
        for number in version.single_receipts():
            receipt = version.receipt(number)
            yield from () if receipt is None else receipt.files


def take_apart(folder: StepFolder, segment: Segment, units: Iterable[Receipt]) -> None:
    """Give these units of a segment receipts of their own, and remove it."""
    for unit in units:
        folder.write_receipt(unit.unit, unit)
    folder.remove_segment(segment)


def hash_again(folder: StepFolder) -> list[str]:
    """Faults of the files of a step that is not complete; units that have one must be done again.

    Reads all of its files once.
    """
    faults: list[str] = []
    if folder.store is not None:
        folder.store.fetch_units(folder.path)
    check = folder.checker(deep=True)
    for segment in folder.found_segments():
        try:
            units = segment.receipts()
        except IntegrityError as error:
            faults.append(error.fault)
            folder.remove_segment(segment)
            continue
        wrong = {unit.unit: found for unit in units if (found := _faults(check, unit))}
        if wrong:
            faults += [fault for found in wrong.values() for fault in found]
            take_apart(folder, segment, [unit for unit in units if unit.unit not in wrong])
    for number in folder.single_receipts():
        receipt = folder.receipt(number)
        found = [] if receipt is None else _faults(check, receipt)
        if receipt is None or found:
            faults += found or [f"{folder.receipt_path(number)}: it, or a file that it names, is not sound"]
            folder.remove_receipt(number)
    return faults


def _faults(check: Checker, unit: Receipt) -> list[str]:
    found = map(check, unit.files)
    return [fault for fault in found if fault is not None]
