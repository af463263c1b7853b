"""Where the files of a step lie, and the folders in which attempts at its units work.

Layout of one step's folder, `<run>/steps/<step>/<fingerprint>/`:

    tmp/<unit>-<attempt>/*/  what an attempt is writing; never read, removed when the step is done
    scratch/<unit>/          what attempts at a task hand on to the next; removed when the step is done
    poison/<unit>.json       documents that ended workers; removed when the step is done
    data/                    committed files, named after their unit
    receipts/<unit>.json     of an unfinished step: what a committed unit holds: file hashes, rows, ledger
    units/<first>-<n>-*.parquet  receipts of many units as columns (`segments`), which replace the single ones
    manifest.json            written once, when every unit has its receipt; readers trust this alone

Of a run on object storage the folder lies in the mirror (`remote/run_store.py`): committed files appear in it
as they are asked for, attempts work in it as in any other.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.storage.remote.mirrors import location_of, store_of_step
from corpusmill.pipelines.storage.remote.run_store import RunStore


@dataclass(frozen=True)
class StepPlaces:
    """The places of one step at one fingerprint."""

    path: Path

    @property
    def store(self) -> RunStore | None:
        """The store in which the run lies; None where it lies in its folder."""
        return store_of_step(self.path)

    @property
    def location(self) -> str:
        """The folder for other processes: its path, or the URL that it stands for on every machine."""
        return location_of(self.path)

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

    def attempt_path(self, unit: int, attempt: int) -> Path:
        """Where the folder of this attempt is made."""
        return self.path / "tmp" / f"{unit:05d}-{attempt}"

    def revoke(self, unit: int, attempt: int) -> None:
        """Keep an attempt from committing, wherever it is at work and whatever it believes: all that it could
        rename is removed, and a file stands where it could begin. What it has renamed so far is renamed again
        by the attempt that follows.

        Of a run on object storage this holds for attempts on this machine. One on another may still commit;
        its receipt counts if it comes first, and if it comes second it has to be equal.
        """
        path = self.attempt_path(unit, attempt)
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # without a folder, or room in it, there is no attempt either
            path.touch()

    def marker_path(self, unit: int) -> Path:
        """Where a careful attempt notes the document in hand, so that a crash can be blamed on it."""
        return self.path / "tmp" / f"{unit:05d}.marker"

    def limit_path(self, unit: int) -> Path:
        """Where an attempt notes the document that it spends limited time on (`system.time_limit`)."""
        return self.path / "tmp" / f"{unit:05d}.limit"

    def poison_path(self, unit: int) -> Path:
        """Where the documents of a unit that end workers are kept, for runs that go on."""
        return self.path / "poison" / f"{unit:05d}.json"

    @property
    def has_poison(self) -> bool:
        """Whether documents of any unit are known to end workers."""
        return (self.path / "poison").is_dir()

    def scratch(self, unit: int) -> Path:
        """Where attempts at a unit leave what the next one can go on from."""
        return self.path / "scratch" / f"{unit:05d}"

    def clear_attempts(self) -> None:
        """Remove what failed or interrupted attempts left, but what they hand on."""
        shutil.rmtree(self.path / "tmp", ignore_errors=True)

    def clear_scratch(self) -> None:
        """Remove what attempts handed on: the step is complete."""
        shutil.rmtree(self.path / "scratch", ignore_errors=True)
        shutil.rmtree(self.path / "poison", ignore_errors=True)
