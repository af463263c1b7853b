"""Files of a run: attempts, commits, receipts and manifests.

A unit commits in a fixed order: files are synced and hashed, renamed into `data/`, the folder is synced,
and only then its receipt appears, by an atomic rename. Of a run on object storage files are sent before they
are renamed, under keys that name their content, and the receipt is put, where there is none, before it
appears here (`remote/run_store.py`). A crash at any point leaves either no receipt (the unit is done again,
giving the same bytes) or a whole one. Receipts and manifests hold no times, host names or paths of the
machine, so two runs can be compared byte by byte.

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

from corpusmill.pipelines.contract.errors import damaged
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
from corpusmill.pipelines.storage.file_faults import just_committed, sha256_committed
from corpusmill.pipelines.storage.not_kept import NAME, has_again, missing_by_choice, there
from corpusmill.pipelines.storage.recent_documents import RECENT
from corpusmill.pipelines.storage.remote.mirrors import location_of, store_of_run
from corpusmill.pipelines.storage.remote.run_store import RunStore
from corpusmill.pipelines.storage.sealed import read_sealed, sealed_bytes, write_atomic
from corpusmill.pipelines.storage.segments import SEGMENT, Units, write_segment
from corpusmill.pipelines.storage.step_units import StepUnits, names_in
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.pipelines.system.process import sync

# Places of sealed files. A manifest names its step and fingerprint itself; a run has one of the others.
_MANIFEST, _CURRENT, _RECIPE = "manifest", "current steps", "recipe"


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


@lru_cache(maxsize=64)
def _read_pointer(path: Path, stamp: tuple[int, int, int]) -> Pointer:
    return read_sealed(Pointer, path, _CURRENT)


@dataclass(frozen=True)
class StepFolder(StepUnits):
    """The folder of one step at one fingerprint."""

    def manifest(self) -> Manifest | None:
        """The manifest, or None while the step is not complete. Raises IntegrityError where it is damaged."""
        if self.store is not None:
            self.store.sync_manifest(self.path)
        try:
            stat = self.manifest_path.stat()
        except FileNotFoundError:
            return None
        return _read_manifest(self.manifest_path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))

    @property
    def complete_already(self) -> bool:
        """Whether there is a manifest, sound or not."""
        if self.store is not None:
            self.store.sync_manifest(self.path)
        return self.manifest_path.is_file()

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
        has_again(self.path)
        file = ManifestFile(**summary_of(summary), segments=tuple(segments))
        content = sealed_bytes(file, _MANIFEST)
        if self.store is not None:
            units = Units(self.segments, self.place, segments)
            self.store.put_ends(self.path, units.files(".arrow"))
            self.store.remove_units(self.path, [self.receipt_path(unit).name for unit in range(len(units))])
            self.store.put_manifest(self.path, content)
        write_atomic(self.manifest_path, content)
        faultpoint("manifest-before-clearing")
        self.clear_receipts()

    def missing(self, segments: Sequence[SegmentEntry]) -> Path | None:
        """A file of these segments' units that is not there, if any; of a store's run none is looked for."""
        if self.store is not None:
            return None
        names = (file.name for file in Units(self.segments, self.place, segments).files())
        return next((self.data / name for name in names if not (self.data / name).exists()), None)

    def forget_units(self) -> None:
        """Let all units of the step be done again; the manifest goes first."""
        self.remove_manifest()
        if self.store is not None:
            here = [*names_in(self.path / "receipts"), *names_in(self.segments)]
            self.store.remove_units(self.path, {*here, *self.store.names_of_units(self.path)})
        for folder in (self.path / "receipts", self.segments):
            shutil.rmtree(folder, ignore_errors=True)

    def remove_manifest(self) -> None:
        """Let the step be incomplete."""
        if self.store is not None:
            self.store.remove_manifest(self.path)
        self.manifest_path.unlink(missing_ok=True)

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
        """Path of a committed file whose bytes are those that its step wrote: hashed once a process, be it
        when it committed the file.

        Raises IntegrityError naming the file where they are not, or where the manifest knows no such file.
        """
        entry = self.entry(name)
        if self.store is None and just_committed(self.data / name, entry):
            return self.data / name
        fault = self.fault(entry)
        if fault is not None:
            raise missing_by_choice(self.path, name) or damaged(fault)
        return self.at_hand(entry)

    def verified(self) -> Path:
        """The folder of a complete step's files, every one verified as by `file`, and none beside them.

        Raises IntegrityError naming the first file that is not sound.
        """
        faults = self.verify(keep=True)
        if faults:
            raise damaged(faults[0])
        return self.data

    def strays(self) -> list[Path]:
        """Files beside manifest and data of a complete step that do not belong to it.

        Receipts of its units do: a run that was killed leaves them to the next one to remove.
        """
        manifest = self.need_manifest()
        known = {self.segments / entry.name for entry in self.units.entries} | {self.manifest_path}
        beside = [path for path in self.path.glob("[!.]*") if path.is_file() and path.name != NAME]
        receipts = [
            path
            for path in (self.path / "receipts").glob("*")
            if not (path.stem.isdecimal() and path == self.receipt_path(int(path.stem)))
            or int(path.stem) >= len(manifest.units)
        ]
        found = [*beside, *receipts, *self.segments.glob("*")]
        return [path for path in sorted(found) if path not in known]

    def verify(self, *, keep: bool = False) -> list[str]:
        """Faults of a complete step's files against its manifest; empty when all are sound. `keep`: see
        `faults`."""
        faults = self.faults(there(self.path, self.units.files()), keep=keep)
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

    def empty(self) -> None:
        """Remove what was written, to write it anew."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

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
            sha256 = sha256_committed(path, self.step.data / name)
            files.append(FileEntry.of(name, path.stat().st_size, sha256, batches))
            RECENT.committed(path, files[-1].sha256)
        if self.step.store is not None:
            self.step.store.send(self.step.path, self.folder, files)
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

    @property
    def store(self) -> RunStore | None:
        """The store in which the run lies, with its files fetched that say what it holds; None where it lies
        in its folder."""
        store = store_of_run(self.path)
        if store is not None:
            store.refresh()
        return store

    @property
    def location(self) -> str:
        """The run's URL, or its folder."""
        return location_of(self.path)

    def step(self, name: str, fingerprint: str) -> StepFolder:
        return StepFolder(self.path / "steps" / name / fingerprint[:16])

    @property
    def current_path(self) -> Path:
        return self.path / "current.json"

    @property
    def begun(self) -> bool:
        """Whether a run lies here, even one without `current.json`, which is written before all else."""
        signs = ["current.json", "recipe.json", "steps/*/*/manifest.json"]
        if (store := self.store) is not None:
            signs.pop()  # of the mirror; a listing tells
        known = any(next(self.path.glob(sign), None) is not None for sign in signs)
        return known or (store is not None and bool(store.hint().manifests))

    def current(self) -> Pointer:
        """What the last run left in `current.json`; a pointer at nothing before the first.

        Raises IntegrityError where there is a run and the file is missing or damaged.
        """
        if not self.begun:
            return Pointer()
        try:
            stat = self.current_path.stat()
        except FileNotFoundError:
            return read_sealed(Pointer, self.current_path, _CURRENT)
        return _read_pointer(self.current_path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))

    def write_current(self, pointer: Pointer) -> None:
        """Let `current.json` point at the steps of `pointer`."""
        self.write(self.current_path, sealed_bytes(pointer, _CURRENT))

    def write(self, path: Path, content: bytes) -> None:
        """Replace a file that only the run's driver writes. Raises FencedError where that is another one."""
        if (store := store_of_run(self.path)) is not None:
            store.write_mutable(path, content)
        write_atomic(path, content)

    def begun_versions(self) -> list[StepFolder]:
        """Versions of steps, complete or not, in order."""
        if (store := store_of_run(self.path)) is not None:
            return [StepFolder(path) for path in store.begun()]
        found = sorted((self.path / "steps").glob("*/*"))
        return [StepFolder(path) for path in found if path.is_dir()]

    def versions(self, name: str) -> list[StepFolder]:
        """Complete versions of a step, the newest first."""
        if (store := store_of_run(self.path)) is not None:
            return [StepFolder(path) for path in store.versions(name)]
        found = list((self.path / "steps" / name).glob("*/manifest.json"))
        found.sort(key=lambda path: (-path.stat().st_mtime_ns, path.parent.name))
        return [StepFolder(path.parent) for path in found]

    def recipe(self) -> RawRecipe:
        """The recipe as it was run last. Raises IntegrityError where it is missing or damaged."""
        _ = self.store
        return read_sealed(RecipeFile, self.path / "recipe.json", _RECIPE).recipe

    def write_recipe(self, recipe: RawRecipe) -> None:
        """Keep the recipe as it is run."""
        self.write(self.path / "recipe.json", sealed_bytes(RecipeFile(recipe), _RECIPE))

    def current_step(self, name: str) -> StepFolder | None:
        """Folder of a step of the last run, if the run got so far."""
        fingerprint = self.current().steps.get(name)
        return self.step(name, fingerprint) if fingerprint else None
