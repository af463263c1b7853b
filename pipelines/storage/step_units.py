"""The committed units of a step, complete or not: their receipts, segments and files.

Of a run on object storage whatever is written, put or removed here is that in the store first, and what is
read is fetched into the mirror where it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.receipt import FileEntry, Receipt
from corpusmill.pipelines.storage.file_faults import fault_of, faults_of, lost, processors
from corpusmill.pipelines.storage.remote.partly import PartlyFetched
from corpusmill.pipelines.storage.remote.run_store import RunStore
from corpusmill.pipelines.storage.remote.sent_files import AT_ONCE
from corpusmill.pipelines.storage.sealed import read_sealed, sealed_bytes, write_atomic
from corpusmill.pipelines.storage.segments import Segment
from corpusmill.pipelines.storage.step_places import StepPlaces

T = TypeVar("T")

_LOOKED_AT = 64  # files that a mirror may not remove while they are

Checker = Callable[[FileEntry], str | None]


def names_in(folder: Path) -> list[str]:
    """Names in a folder; none where it is not there, or is removed just now."""
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


class StepUnits(StepPlaces):
    """What the units of a step have committed."""

    def receipt(self, unit: int) -> Receipt | None:
        """The single receipt of a unit whose files are all there and of their sizes, else None.

        Only units of an interrupted step are asked for; where it is None the unit must be done again. What
        the files hold is compared with their hashes by whoever reads them.
        """
        path = self.receipt_path(unit)
        if not path.exists():
            return None
        try:
            receipt = read_sealed(Receipt, path, self._receipt_place(unit))
        except IntegrityError:
            return None
        return None if any(map(self.lost, receipt.files)) else receipt

    def has_receipt(self, unit: int) -> bool:
        """Whether a unit of a step at work has a receipt of its own."""
        path = self.receipt_path(unit)
        return path.exists() or (self.store is not None and self.store.fetch_unit(self.path, path.name, path))

    def _receipt_place(self, unit: int) -> str:
        return f"receipt {unit} of {self.path.parent.name}/{self.path.name}"

    def unit_names(self) -> list[str]:
        """Names of receipts and segments; of a run on object storage those that were listed."""
        if self.store is not None:
            return self.store.names_of_units(self.path)
        return [*names_in(self.path / "receipts"), *names_in(self.segments)]

    @property
    def begun(self) -> bool:
        """Whether a unit of the step was begun; of a run on object storage, whether one was committed."""
        return self.path.exists() if self.store is None else bool(self.unit_names())

    def single_receipts(self, names: Iterable[str] | None = None) -> list[int]:
        """Units that have a receipt of their own, in order, by `names` or those in the folder."""
        known = names_in(self.path / "receipts") if names is None else names
        stems = (Path(name).stem for name in known if name.endswith(".json"))
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())

    def found_segments(self, names: Iterable[str] | None = None) -> list[Segment]:
        """Segments by `names` or in the folder, in the order of their names, complete step or not."""
        known = names_in(self.segments) if names is None else names
        kept = sorted(name for name in known if not name.startswith(".") and not name.endswith(".json"))
        return [Segment(self.segments / name, self.place) for name in kept]

    def write_receipt(self, unit: int, receipt: Receipt, temporary: Path | None = None) -> None:
        """Write a unit's receipt with its seal, first as `temporary`: the unit is committed."""
        path, content = self.receipt_path(unit), sealed_bytes(receipt, self._receipt_place(unit))
        if self.store is not None:
            self.store.put_receipt(self.path, path.name, content)
        write_atomic(path, content, temporary)

    def remove_receipt(self, unit: int) -> None:
        """Let a unit be done again."""
        if self.store is not None:
            self.store.remove_units(self.path, [self.receipt_path(unit).name])
        self.receipt_path(unit).unlink(missing_ok=True)

    def remove_segment(self, segment: Segment) -> None:
        """Take away a segment, whose units have receipts of their own or are done again."""
        if self.store is not None:
            self.store.remove_units(self.path, [segment.path.name])
        segment.path.unlink(missing_ok=True)

    def at_hand(self, entry: FileEntry) -> Path:
        """The path of a committed file, which is fetched first where it has to be; its bytes are not looked
        at."""
        return self.data / entry.name if self.store is None else self.store.have(self.path, entry)

    def partly(self, entry: FileEntry) -> PartlyFetched | None:
        """A committed file of batches whose ranges are fetched as they are read; None of one that is at hand,
        or is soon."""
        return None if self.store is None else self.store.partly(self.path, entry)

    def bring(self, entries: Sequence[FileEntry]) -> None:
        """Have these files at hand, fetched several at a time where they have to be."""
        if self.store is not None:
            self.store.have_all(self.path, entries)

    def fault(self, entry: FileEntry) -> str | None:
        """What is wrong with a committed file (see `fault_of`); a damaged copy of an object is fetched
        again."""
        try:
            fault = fault_of(self.at_hand(entry), entry)
            if fault is not None and self.store is not None:
                fault = fault_of(self.store.fetch_again(self.path, entry), entry)
        except IntegrityError as error:
            fault = error.fault
        return fault

    def faults(self, entries: Iterable[FileEntry], *, keep: bool = False) -> list[str]:
        """What is wrong with any of these committed files, in their order; hashed on all processors.

        Of a run on object storage several are fetched at a time. With `keep` all are at hand afterwards;
        without it their objects are looked at (`checker`), and nothing more is in the mirror than before.
        """
        if keep:
            return [told for _, told in faults_of(entries, self.fault, workers_for(self.store))]
        return [told for _, told in faults_in(self.store, entries, self.checker(deep=True))]

    def checker(self, *, deep: bool) -> Checker:
        """What tells the fault of a committed file: `deep` by its bytes, else whether it is there and of its
        size, for which nothing is read.

        Of a run on object storage the step's objects are listed now, whose number memory grows with.
        """
        if self.store is None:
            return self.fault if deep else self.lost
        stored = self.store.stored(self.path)
        return partial(self.store.unlike if deep else self.store.missing, self.path, stored)

    def lost(self, entry: FileEntry) -> str | None:
        """Whether a committed file is missing or of another size (see `lost`). Of a run on object storage a
        receipt is proof enough: it was put when the files were there."""
        return None if self.store is not None else lost(self.data / entry.name, entry)


def workers_for(store: RunStore | None, workers: int | None = None) -> int:
    """How many files are looked at at a time: so many, else as many as processors, on object storage at least
    a few."""
    return workers or max(processors(), 1 if store is None else AT_ONCE)


def faults_in(
    store: RunStore | None, files: Iterable[T], fault: Callable[[T], str | None], workers: int | None = None
) -> Iterator[tuple[T, str]]:
    """The committed files of a run that have a fault, as `faults_of` tells them.

    The mirror of a run on object storage may let go of those that were looked at, so that it stays within its
    limit.
    """
    if store is None:
        return faults_of(files, fault, workers_for(store, workers))
    return faults_of(files, fault, workers_for(store, workers), _LOOKED_AT, store.room.release)
