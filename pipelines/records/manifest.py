"""Manifests: what a complete step holds, and the key that its output depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.records.receipt import FileEntry, Receipt


@dataclass(frozen=True)
class StageKey:
    """What one stage's output depends on: its options, but those that change no byte and places of files; the
    digest of its module and of all that this names (`run.code_version`); versions of its libraries; digests
    of the files it reads, by name."""

    name: str
    options: Options
    code: str
    libraries: Mapping[str, str]
    files: Mapping[str, str]


@dataclass(frozen=True)
class StepKey:
    """All that a step's output depends on; the digest of it is the fingerprint.

    `inputs` and `masks`: names of steps, in order, with the content they had; `artefacts`: content by name of
    the artefact. `listing`: digest of the files an index lists; `unit_bytes`: of units cut by bytes of files;
    `limit`: documents read of each unit, of a cut.
    """

    operator: str
    stages: tuple[StageKey, ...]
    spine: str
    libraries: Mapping[str, str]
    unicode: str
    seed: int
    options: StepOptions
    inputs: tuple[tuple[str, str], ...]
    masks: tuple[tuple[str, str], ...]
    artefacts: Mapping[str, str]
    listing: str | None = None
    unit_bytes: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What a complete step holds: its key and the key's fingerprint, versions of what made it, the content
    hash of its units, rows, the sum of its units' ledgers, and their receipts in order."""

    RECORD: ClassVar[str] = "manifest"
    VERSION: ClassVar[int] = 1

    step: str
    fingerprint: str
    key: StepKey
    versions: Mapping[str, str]
    content: str
    rows: int
    ledger: tuple[LedgerEntry, ...]
    units: tuple[Receipt, ...]

    @property
    def files(self) -> list[FileEntry]:
        """Files of all units, in order."""
        return [file for unit in self.units for file in unit.files]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for unit in self.units for file in unit.files)
