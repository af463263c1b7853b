"""Files of a run: attempts, commits, receipts and manifests.

Layout of one step's folder, `<run>/steps/<step>/<fingerprint>/`:

    tmp/<unit>-<attempt>-*/  what an attempt is writing; never read, removed when the step is done
    scratch/<unit>/          what attempts at a task hand on to the next; removed when the step is done
    data/                    committed files, named after their unit
    receipts/<unit>.json     what a committed unit holds: file hashes, rows, ledger
    manifest.json            written once, when every unit has its receipt; readers trust this alone

A unit commits in a fixed order: files are synced and hashed, renamed into `data/`, the folder is synced,
and only then its receipt appears, by an atomic rename. A crash at any point leaves either no receipt
(the unit is done again, giving the same bytes) or a whole one. Receipts and manifests hold no times,
host names or paths of the machine, so two runs can be compared byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpusmill.pipelines.errors import IntegrityError
from corpusmill.pipelines.faultpoints import faultpoint

Json = dict[str, Any]


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits, read in pieces of 1 MiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a reader sees the old file or the new one, never a part.

    The temporary name is fixed, so that what a kill leaves behind is replaced by the next try. A file has one
    writer at a time: the runner holds the folder's lock, and a unit has one attempt at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    faultpoint("atomic-before-rename")
    temporary.replace(path)
    _sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Atomic write of indented JSON with sorted keys."""
    write_atomic(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> Any:
    """JSON of a file the run wrote. Raises IntegrityError naming the file and the cure."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: missing; run the recipe again to rebuild it") from error
    except ValueError as error:
        raise IntegrityError(f"{path}: not valid JSON ({error}); remove it and run again") from error


@lru_cache(maxsize=64)
def _read_manifest(path: Path, stamp: int) -> Json:
    manifest: Json = read_json(path)
    return manifest


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

    def manifest(self) -> Json | None:
        """The manifest, or None while the step is not complete."""
        try:
            stamp = self.manifest_path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        return _read_manifest(self.manifest_path, stamp)

    def need_manifest(self) -> Json:
        """The manifest. Raises IntegrityError where the step is not complete."""
        manifest = self.manifest()
        if manifest is None:
            raise IntegrityError(f"{self.manifest_path}: missing; run the recipe again to complete the step")
        return manifest

    def receipt(self, unit: int) -> Json | None:
        """The receipt of a unit whose files are all there unchanged, else None (it must be redone).

        Only units of an interrupted step are asked for, so every file is hashed again.
        """
        path = self.receipt_path(unit)
        if not path.exists():
            return None
        receipt: Json = read_json(path)
        for file in receipt["files"]:
            target = self.data / file["name"]
            if not target.exists() or target.stat().st_size != file["bytes"]:
                return None
            if sha256_file(target) != file["sha256"]:
                return None
        return receipt

    def verify(self) -> list[str]:
        """Faults of a complete step's files against its manifest; empty when all are sound."""
        faults = []
        for unit in self.need_manifest()["units"]:
            for file in unit["files"]:
                target = self.data / file["name"]
                if not target.exists():
                    faults.append(f"{target}: missing")
                elif sha256_file(target) != file["sha256"]:
                    faults.append(f"{target}: its bytes differ from the manifest")
        return faults

    def attempt(self, unit: int, attempt: int) -> Attempt:
        """A fresh folder for one attempt at one unit.

        No other attempt ever shares it, not even the same one of a run that was killed and whose worker, on
        another machine, has not noticed yet: it could otherwise commit what this one has half written.
        """
        temporary = self.path / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{unit:05d}-{attempt}-", dir=temporary))
        return Attempt(self, unit, folder)

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

    def commit(self, body: Json) -> Json:
        """Move every file written into `data/` and leave the receipt; returns the receipt."""
        files = []
        self.step.data.mkdir(parents=True, exist_ok=True)
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            _sync(path)
            name = path.relative_to(self.folder).as_posix()
            files.append({"name": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)})
        faultpoint("commit-before-rename")
        for file in files:
            target = self.step.data / str(file["name"])
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / str(file["name"])).replace(target)
            faultpoint("commit-between-renames")
        for folder in {self.step.data, *((self.step.data / str(file["name"])).parent for file in files)}:
            _sync(folder)
        faultpoint("commit-before-receipt")
        receipt = {**body, "unit": self.unit, "files": files}
        write_json(self.step.receipt_path(self.unit), receipt)
        faultpoint("commit-after-receipt")
        shutil.rmtree(self.folder, ignore_errors=True)
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

    def current(self) -> Json:
        """`{"recipe": ..., "steps": {name: fingerprint}}` of the last run; empty before the first."""
        if not self.current_path.exists():
            return {"steps": {}}
        value: Json = read_json(self.current_path)
        return value

    def current_step(self, name: str) -> StepFolder | None:
        """Folder of a step of the last run, if the run got so far."""
        fingerprint = self.current()["steps"].get(name)
        return self.step(name, fingerprint) if fingerprint else None
