"""Manifests: what a complete step holds, and the key that its output depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.ledger import LedgerEntry, Tally
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
    `limit`: documents read of each unit, of a cut. `known`: names of earlier runs, in order, with the content
    of what they remember.
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
    known: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SegmentEntry:
    """Receipts of units that follow one another, in one file of columns: its name in `units/`, the first unit
    and how many there are, their rows, the bytes of their files, the content hash of these, and the names of
    files with `%` for the unit's number, None where they are too many to list."""

    name: str
    first: int
    units: int
    rows: int
    bytes: int
    content: str
    patterns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Summary:
    """What a complete step holds, but for its units: its key and the key's fingerprint, versions of what made
    it, the content hash of its units, their rows and the bytes of their files, the sum of their ledgers, and
    of documents written the number and bytes by source."""

    step: str
    fingerprint: str
    key: StepKey
    versions: Mapping[str, str]
    content: str
    rows: int
    bytes: int
    ledger: tuple[LedgerEntry, ...]
    sources: Mapping[str, Tally]


def summary_of(found: Summary) -> dict[str, Any]:
    """The fields of `Summary`, by name."""
    return {field.name: getattr(found, field.name) for field in fields(Summary)}


@dataclass(frozen=True)
class ManifestFile(Summary):
    """`manifest.json`: what a complete step holds, and the segments with its units' receipts."""

    RECORD: ClassVar[str] = "manifest"
    VERSION: ClassVar[int] = 3

    segments: tuple[SegmentEntry, ...]


@dataclass(frozen=True)
class NotKept:
    """`not_kept.json`: the files of a complete step, but lists of removed documents, were removed, or are
    being removed. `keep`: what the recipe said; `removed`: whether none of them is left."""

    RECORD: ClassVar[str] = "not kept"
    VERSION: ClassVar[int] = 1

    keep: str
    removed: bool = False


@dataclass(frozen=True)
class Manifest(Summary):
    """What a complete step holds, with the receipts of its units in order; those of a manifest that was read
    come from their segments as they are asked for."""

    units: Sequence[Receipt]

    @property
    def files(self) -> Iterator[FileEntry]:
        """Files of all units, in order."""
        return (file for unit in self.units for file in unit.files)
