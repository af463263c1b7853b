"""Receipts: what a committed unit holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.ledger import LedgerEntry, Tally
from corpusmill.pipelines.records.opaque import Summary

SHORT_DIGITS = 32  # hex digits of the SHA-256 of a file whose batches have checksums


@dataclass(frozen=True)
class FileEntry:
    """One file: its name in `data/`, its bytes, its SHA-256 (64 hex digits) and, of an Arrow file whose
    batches have checksums, the digest of these. Such a file is another step's input and nothing else: the
    first 32 digits of its SHA-256 tell it from every other, as they do in names of objects and keys of units.
    """

    name: str
    bytes: int
    sha256: str
    batches: str | None = None

    @classmethod
    def of(cls, name: str, size: int, sha256: str, batches: str | None) -> FileEntry:
        """The entry of a file of `size` bytes; `sha256`: 64 hex digits."""
        return cls(name, size, sha256 if batches is None else sha256[:SHORT_DIGITS], batches)

    def is_of(self, sha256: str) -> bool:
        """Whether this is the entry of a file with this SHA-256, 64 hex digits."""
        return len(self.sha256) >= SHORT_DIGITS and sha256.startswith(self.sha256)


@dataclass(frozen=True)
class DatasetPart:
    """Of a unit that writes documents: how many, and bytes, by source. `left_out`: rows that came and are not
    among them, since their stage could not work on them."""

    KIND: ClassVar[str] = "dataset"
    sources: Mapping[str, Tally]
    left_out: int = 0


@dataclass(frozen=True)
class MaskPart:
    """Of a unit that removes rows of `mask_units` units of a view: rows removed by the unit they stand in.
    `first`: the number of the first of these units, after those of earlier levels of the step."""

    KIND: ClassVar[str] = "mask"
    mask_units: int
    removed_rows: Mapping[int, int]
    first: int = 0

    def number(self, unit: int) -> int:
        """The unit of the step that has what is removed of a unit of the view."""
        return self.first + unit // self.mask_units


@dataclass(frozen=True)
class Layout:
    """Where the rows of an exchange lie (`run/operators/layout.py`): the number of partitions; of units that
    send, and about how many of them share a file; how many partitions a coarse one has; and the files of each
    level, from the second on those of all coarse partitions, one after the other."""

    partitions: int
    units: int
    group: int
    width: int
    files: tuple[int, ...]

    @property
    def coarse(self) -> int:
        """How many coarse partitions there are."""
        return -(-self.partitions // self.width)


@dataclass(frozen=True)
class PartitionsPart:
    """Of a unit that sends rows to the partitions of an exchange: where they lie. `first`: what to add to the
    numbers of units in its files, which count from the first one that it read, so that they hold the same
    wherever that one stands. `large`: of a file of the last level, how many times 64 KiB a partition's rows
    take before compression, of those that take it once."""

    KIND: ClassVar[str] = "partitions"
    layout: Layout
    first: int = 0
    large: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PairsPart:
    """Of a unit that finds pairs: the buckets its files have. `edits`: spans found to be cut; `pairs`: all
    pairs found, where some are chosen; `undecided`: what is left to later levels of its step, None of a unit
    after which there are none."""

    KIND: ClassVar[str] = "pairs"
    buckets: int
    edits: int = 0
    pairs: int | None = None
    undecided: int | None = None


@dataclass(frozen=True)
class IndexPart:
    """Of a unit that indexes files: their bytes."""

    KIND: ClassVar[str] = "index"
    bytes_read: int


@dataclass(frozen=True)
class SummaryPart:
    """Of a unit that makes an artefact or a shard: what its stage says of it."""

    KIND: ClassVar[str] = "summary"
    summary: Summary


Part = DatasetPart | MaskPart | PartitionsPart | PairsPart | IndexPart | SummaryPart
P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class UnitResult:
    """What an operator says of a unit it has done: rows written, the ledger, and what is particular to it."""

    rows: int
    ledger: tuple[LedgerEntry, ...] = ()
    part: Part | None = None


@dataclass(frozen=True)
class Receipt:
    """What a committed unit holds: its number, rows, files with their hashes, ledger, and what is particular
    to its operator. It names no time, host or path of the machine. `key`: 32 hex digits of all that the
    unit's files follow from (`run/reuse.py`); None where that is more than what the unit reads."""

    RECORD: ClassVar[str] = "receipt"
    VERSION: ClassVar[int] = 2

    unit: int
    rows: int
    files: tuple[FileEntry, ...]
    ledger: tuple[LedgerEntry, ...] = ()
    part: Part | None = None
    key: str | None = None

    def need(self, kind: type[P]) -> P:
        """The part of this kind. Raises IntegrityError where the unit has none."""
        if not isinstance(self.part, kind):
            raise damaged(f"the receipt of unit {self.unit} has no {kind.KIND}, which its step's units have")
        return self.part

    @property
    def name(self) -> str:
        """What the names of the unit's files begin with."""
        return f"{self.unit:05d}"

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def summary(self) -> Summary:
        """What the stage says of the unit. Raises IntegrityError where the unit has no summary."""
        return self.need(SummaryPart).summary

    @property
    def sources(self) -> Mapping[str, Tally]:
        """Documents and bytes written, by source. Raises IntegrityError where the unit wrote no documents."""
        return self.need(DatasetPart).sources
