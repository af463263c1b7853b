"""Files of a run: attempts, commits, receipts and manifests.

Layout of one step's folder, `<run>/steps/<step>/<fingerprint>/`:

    tmp/<unit>-<attempt>/*/  what an attempt is writing; never read, removed when the step is done
    scratch/<unit>/          what attempts at a task hand on to the next; removed when the step is done
    data/                    committed files, named after their unit
    receipts/<unit>.json     of an unfinished step: what a committed unit holds: file hashes, rows, ledger
    units/<first>-<n>-*.arrow  receipts of many units as columns (`segments`), which replace the single ones
    manifest.json            written once, when every unit has its receipt; readers trust this alone

A unit commits in a fixed order: files are synced and hashed, renamed into `data/`, the folder is synced,
and only then its receipt appears, by an atomic rename. A crash at any point leaves either no receipt
(the unit is done again, giving the same bytes) or a whole one. Receipts and manifests hold no times,
host names or paths of the machine, so two runs can be compared byte by byte.

What a step wrote is what the next one reads: a committed file is opened only through `StepFolder.file` (or
`verified` for a whole folder), which compares its size and SHA-256 with the manifest, once a process; files
that many units read batch by batch have checksums of their own (`checked_ipc`). Receipts, manifests,
`current.json`, `recipe.json` and `graph.json` carry a seal, a digest of their content and place; segments
carry theirs in their names.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.records.manifest import (
    Manifest,
    ManifestFile,
    SegmentEntry,
    Summary,
    summary_of,
)
from corpusmill.pipelines.records.opaque import RawRecipe
from corpusmill.pipelines.records.pointer import Pointer, RecipeFile
from corpusmill.pipelines.records.receipt import FileEntry, Receipt, UnitResult
from corpusmill.pipelines.storage.file_faults import fault_of, lost
from corpusmill.pipelines.storage.sealed import read_sealed, sha256_file, write_sealed
from corpusmill.pipelines.storage.segments import SEGMENT, Segment, Units, write_segment
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.pipelines.system.process import sync

# Places of sealed files. A manifest names its step and fingerprint itself; a run has one of the others.
_MANIFEST, _CURRENT, _RECIPE = "manifest", "current steps", "recipe"


def _names(folder: Path) -> list[str]:
    """Names in a folder; none where it is not there, or is removed just now."""
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


@lru_cache(maxsize=1024)  # more than most runs have steps: each unit reads those of all its inputs
def _read_manifest(path: Path, stamp: tuple[int, int, int]) -> Manifest:
    found = read_sealed(ManifestFile, path, _MANIFEST)
    version, steps = path.parent, path.parent.parent
    stated = found.step, found.fingerprint[:16]
    if steps.parent.name == "steps" and stated != (steps.name, version.name):
        raise damaged(f"{path}: the manifest of {stated[0]}/{stated[1]}, which does not belong here")
    folder = StepFolder(version)
    units = Units(folder.segments, folder.place, found.segments)
    return Manifest(**summary_of(found), units=units)


@dataclass(frozen=True)
class StepFolder:
    """The folder of one step at one fingerprint."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    def receipt_path(self, unit: int) -> Path:
        return self.path / "receipts" / f"{unit:05d}.json"

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def segments(self) -> Path:
        """The folder of the step's segments."""
        return self.path / "units"

    @property
    def place(self) -> str:
        """What the step's segments say that they are of."""
        return f"units of {self.path.parent.name}/{self.path.name}"

    def manifest(self) -> Manifest | None:
        """The manifest, or None while the step is not complete. Raises IntegrityError where it is damaged."""
        try:
            stat = self.manifest_path.stat()
        except FileNotFoundError:
            return None
        return _read_manifest(self.manifest_path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))

    def need_manifest(self) -> Manifest:
        """The manifest. Raises IntegrityError where the step is not complete or it is damaged."""
        manifest = self.manifest()
        if manifest is None:
            raise damaged(f"{self.manifest_path}: missing")
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the units of a step and its manifest: the step is complete."""
        units = manifest.units
        parts = [units[first : first + SEGMENT] for first in range(0, len(units), SEGMENT)]
        self.complete(manifest, [write_segment(self.segments, self.place, part) for part in parts])

    def complete(self, summary: Summary, segments: Sequence[SegmentEntry]) -> None:
        """Write the manifest, with its seal, of a step whose segments are there: the step is complete.

        Receipts that the segments replace are removed, now or when the step is looked at again.
        """
        write_sealed(
            self.manifest_path, ManifestFile(**summary_of(summary), segments=tuple(segments)), _MANIFEST
        )
        faultpoint("manifest-before-clearing")
        self.clear_receipts()

    def missing(self, segments: Sequence[SegmentEntry]) -> Path | None:
        """A file of these segments' units that is not there, if any."""
        names = (file.name for file in Units(self.segments, self.place, segments).files())
        return next((self.data / name for name in names if not (self.data / name).exists()), None)

    def forget_units(self) -> None:
        """Let all units of the step be done again; the manifest goes first."""
        self.manifest_path.unlink(missing_ok=True)
        for folder in (self.path / "receipts", self.segments):
            shutil.rmtree(folder, ignore_errors=True)

    def clear_receipts(self) -> None:
        """Remove the single receipts of a complete step, and segments that its manifest does not name."""
        shutil.rmtree(self.path / "receipts", ignore_errors=True)
        known = {entry.name for entry in self.units.entries}
        for segment in self.found_segments():
            if segment.path.name not in known:
                segment.path.unlink()

    @property
    def units(self) -> Units:
        """Receipts of a complete step's units. Raises IntegrityError where it is not complete."""
        units = self.need_manifest().units
        assert isinstance(units, Units)
        return units

    def files(self) -> dict[str, FileEntry]:
        """Entries of all files of a complete step by their names: memory grows with their number."""
        return {file.name: file for file in self.units.files()}

    def has(self, name: str) -> bool:
        """Whether a complete step wrote a file of this name."""
        return self.units.find(name) is not None

    def entry(self, name: str) -> FileEntry:
        """The entry of a complete step's file. Raises IntegrityError where no unit wrote it."""
        entry = self.units.find(name)
        if entry is None:
            raise damaged(f"{self.data / name}: the manifest beside it knows no such file")
        return entry

    def file(self, name: str) -> Path:
        """Path of a committed file whose bytes are those that its step wrote: hashed once a process.

        Raises IntegrityError naming the file where they are not, or where the manifest knows no such file.
        """
        entry, path = self.entry(name), self.data / name
        fault = fault_of(path, entry)
        if fault is not None:
            raise damaged(fault)
        return path

    def verified(self) -> Path:
        """The folder of a complete step's files, every one verified as by `file`, and none beside them.

        Raises IntegrityError naming the first file that is not sound.
        """
        faults = self.verify()
        if faults:
            raise damaged(faults[0])
        return self.data

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
        if any(lost(self.data / file.name, file) for file in receipt.files):
            return None
        return receipt

    def _receipt_place(self, unit: int) -> str:
        return f"receipt {unit} of {self.path.parent.name}/{self.path.name}"

    def single_receipts(self) -> list[int]:
        """Units that have a receipt of their own, in order."""
        stems = (Path(name).stem for name in _names(self.path / "receipts") if name.endswith(".json"))
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())

    def found_segments(self) -> list[Segment]:
        """Segments in the folder, in the order of their names, complete step or not."""
        names = (name for name in _names(self.segments) if not name.startswith("."))
        return [Segment(self.segments / name, self.place) for name in sorted(names)]

    def strays(self) -> list[Path]:
        """Files beside manifest and data of a complete step that do not belong to it.

        Receipts of its units do: a run that was killed leaves them to the next one to remove.
        """
        manifest = self.need_manifest()
        known = {self.segments / entry.name for entry in self.units.entries} | {self.manifest_path}
        beside = [path for path in self.path.glob("[!.]*") if path.is_file()]
        receipts = [
            path
            for path in (self.path / "receipts").glob("*")
            if not (path.stem.isdecimal() and path == self.receipt_path(int(path.stem)))
            or int(path.stem) >= len(manifest.units)
        ]
        found = [*beside, *receipts, *self.segments.glob("*")]
        return [path for path in sorted(found) if path not in known]

    def write_receipt(self, unit: int, receipt: Receipt, temporary: Path | None = None) -> None:
        """Write a unit's receipt with its seal, first as `temporary`: the unit is committed."""
        write_sealed(self.receipt_path(unit), receipt, self._receipt_place(unit), temporary)

    def verify(self) -> list[str]:
        """Faults of a complete step's files against its manifest; empty when all are sound."""
        files = self.files()
        faults = [fault for name in files if (fault := fault_of(self.data / name, files[name]))]
        return faults + [f"{path}: not a file of its step" for path in self.strangers()]

    def strangers(self) -> list[Path]:
        """Files in the folder of a complete step's files that its manifest does not know."""
        files = self.files()
        found = (path for path in sorted(self.data.rglob("*")) if not path.is_dir())
        return [path for path in found if path.relative_to(self.data).as_posix() not in files]

    def attempt(self, unit: int, attempt: int) -> Attempt:
        """A fresh folder for one attempt at one unit.

        No other attempt ever shares it, not even the same one of a run that was killed and whose worker, on
        another machine, has not noticed yet: it could otherwise commit what this one has half written.
        """
        parent = self.attempt_path(unit, attempt)  # a file where the attempt was revoked
        parent.mkdir(parents=True, exist_ok=True)
        return Attempt(self, unit, Path(tempfile.mkdtemp(dir=parent)))

    def attempt_path(self, unit: int, attempt: int) -> Path:
        """Where the folder of this attempt is made."""
        return self.path / "tmp" / f"{unit:05d}-{attempt}"

    def revoke(self, unit: int, attempt: int) -> None:
        """Keep an attempt from committing, wherever it is at work and whatever it believes: all that it could
        rename is removed, and a file stands where it could begin. What it has renamed so far is renamed again
        by the attempt that follows."""
        path = self.attempt_path(unit, attempt)
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # without a folder, or room in it, there is no attempt either
            path.touch()

    def marker_path(self, unit: int) -> Path:
        """Where a careful attempt notes the document in hand, so that a crash can be blamed on it."""
        return self.path / "tmp" / f"{unit:05d}.marker"

    def scratch(self, unit: int) -> Path:
        """Where attempts at a unit leave what the next one can go on from."""
        return self.path / "scratch" / f"{unit:05d}"

    def clear_attempts(self) -> None:
        """Remove what failed or interrupted attempts left, but what they hand on."""
        shutil.rmtree(self.path / "tmp", ignore_errors=True)

    def clear_scratch(self) -> None:
        """Remove what attempts handed on: the step is complete."""
        shutil.rmtree(self.path / "scratch", ignore_errors=True)


@dataclass(frozen=True)
class Attempt:
    """One attempt at one unit: files are written below `folder`, then committed together."""

    step: StepFolder
    unit: int
    folder: Path

    def file(self, suffix: str) -> Path:
        """Path of the unit's file with this suffix, e.g. `00003.parquet`."""
        return self.folder / f"{self.unit:05d}.{suffix}"

    def scratch(self) -> Path:
        """The unit's scratch folder, made if need be: it outlives this attempt."""
        folder = self.step.scratch(self.unit)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def discard(self) -> None:
        """Remove what was written; where it was not committed, the unit stays to be done."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # of the same number, in a run that was killed, another may be at work
            self.folder.parent.rmdir()

    def commit(self, result: UnitResult, key: str | None = None) -> Receipt:
        """Move every file written into `data/` and leave the receipt, with the unit's key; returns it.

        Two attempts may commit at the same time. Both have the same bytes under the same names, since a
        unit's bytes depend on nothing else; each renames files of its own folder, so a reader finds one
        whole file or the other, equal one; and the receipt is renamed from that folder too, after the files,
        so that whichever appears last says the same. Raises OSError where the attempt was revoked.
        """
        from corpusmill.pipelines.storage.checked_ipc import batches_id

        files: list[FileEntry] = []
        self.step.data.mkdir(parents=True, exist_ok=True)
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            sync(path)
            name = path.relative_to(self.folder).as_posix()
            batches = batches_id(path) if path.suffix == ".arrow" else None
            files.append(FileEntry(name, path.stat().st_size, sha256_file(path), batches))
        faultpoint("commit-before-rename")
        for file in files:
            target = self.step.data / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file.name).replace(target)
            faultpoint("commit-between-renames")
        for folder in {self.step.data, *((self.step.data / file.name).parent for file in files)}:
            sync(folder)
        faultpoint("commit-before-receipt")
        receipt = Receipt(self.unit, result.rows, tuple(files), result.ledger, result.part, key)
        self.step.write_receipt(self.unit, receipt, self.folder / ".receipt")
        faultpoint("commit-after-receipt")
        self.discard()
        return receipt


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run: all its steps, the pointer to the current ones, logs and reports."""

    path: Path

    def step(self, name: str, fingerprint: str) -> StepFolder:
        return StepFolder(self.path / "steps" / name / fingerprint[:16])

    @property
    def current_path(self) -> Path:
        return self.path / "current.json"

    @property
    def begun(self) -> bool:
        """Whether a run lies here, even one without `current.json`, which is written before all else."""
        signs = ("current.json", "recipe.json", "steps/*/*/manifest.json")
        return any(next(self.path.glob(sign), None) is not None for sign in signs)

    def current(self) -> Pointer:
        """What the last run left in `current.json`; a pointer at nothing before the first.

        Raises IntegrityError where there is a run and the file is missing or damaged.
        """
        if not self.begun:
            return Pointer()
        return read_sealed(Pointer, self.current_path, _CURRENT)

    def write_current(self, pointer: Pointer) -> None:
        """Let `current.json` point at the steps of `pointer`."""
        write_sealed(self.current_path, pointer, _CURRENT)

    def recipe(self) -> RawRecipe:
        """The recipe as it was run last. Raises IntegrityError where it is missing or damaged."""
        return read_sealed(RecipeFile, self.path / "recipe.json", _RECIPE).recipe

    def write_recipe(self, recipe: RawRecipe) -> None:
        """Keep the recipe as it is run."""
        write_sealed(self.path / "recipe.json", RecipeFile(recipe), _RECIPE)

    def current_step(self, name: str) -> StepFolder | None:
        """Folder of a step of the last run, if the run got so far."""
        fingerprint = self.current().steps.get(name)
        return self.step(name, fingerprint) if fingerprint else None
