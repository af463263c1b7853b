"""The ledger: documents and bytes in = kept + cut + removed by reason + quarantined, per stage and source.

Bytes are UTF-8 bytes of text (raw page bytes before extraction) as they *entered* the stage, so the
equation holds for stages that change the text too; `out` counts the bytes that left it. A document of which
only a part is kept is a document kept; the bytes of the other part are cut, counted by their reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.records.language_counts import LanguageCount, LanguageEntry, add, recorded
from corpusmill.pipelines.records.language_counts import Tally as Tally


@dataclass(frozen=True)
class LedgerEntry:
    """Counts of one stage on one source as receipts and manifests hold them; see `Entry`."""

    stage: str
    source: str
    documents_in: int
    bytes_in: int
    documents_kept: int
    bytes_kept: int
    bytes_out: int
    removed: Mapping[str, Tally]
    quarantined: Mapping[str, Tally]
    cut: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, LanguageEntry] = field(default_factory=dict)


@dataclass
class Entry:
    """Counts of one stage on one source, while they are added up. All byte figures but `bytes_out` are as
    they entered the stage. `removed`, `quarantined`: by reason. `cut`: bytes of documents that are kept, by
    reason. `languages`: of documents with a language, by code, of stages that run as maps."""

    stage: str
    source: str
    documents_in: int = 0
    bytes_in: int = 0
    documents_kept: int = 0
    bytes_kept: int = 0
    bytes_out: int = 0
    removed: dict[str, Tally] = field(default_factory=dict)
    quarantined: dict[str, Tally] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    languages: dict[str, LanguageCount] = field(default_factory=dict)

    def arrive(self, documents: int, size: int) -> None:
        self.documents_in += documents
        self.bytes_in += size

    def keep(self, documents: int, size: int, out: int) -> None:
        self.documents_kept += documents
        self.bytes_kept += size
        self.bytes_out += out

    def cut_out(self, reason: str, size: int) -> None:
        """Bytes cut from documents that are kept."""
        self.cut[reason] = self.cut.get(reason, 0) + size

    @property
    def bytes_cut(self) -> int:
        """Bytes cut for any reason."""
        return sum(self.cut.values())

    @property
    def lost(self) -> tuple[int, int]:
        """Documents removed or quarantined, and bytes removed, quarantined or cut."""
        tallies = [*self.removed.values(), *self.quarantined.values()]
        return sum(documents for documents, _ in tallies), sum(size for _, size in tallies) + self.bytes_cut

    def remove(self, reason: str, documents: int, size: int) -> None:
        add(self.removed, reason, documents, size)

    def quarantine(self, reason: str, documents: int, size: int) -> None:
        add(self.quarantined, reason, documents, size)

    def language(self, code: str) -> LanguageCount:
        """The counts of a language, made on first use."""
        return self.languages.setdefault(code, LanguageCount())

    def check(self, where: str) -> None:
        """Raise LedgerError unless in = kept + cut + removed + quarantined, in documents and in bytes."""
        lost = [*self.removed.values(), *self.quarantined.values()]
        for index, unit, came, kept, cut in (
            (0, "documents", self.documents_in, self.documents_kept, 0),
            (1, "bytes", self.bytes_in, self.bytes_kept, self.bytes_cut),
        ):
            taken_out = sum(tally[index] for tally in lost)
            if came != kept + cut + taken_out:
                raise LedgerError(
                    f"{where}, stage {self.stage}, source {self.source}: {came} {unit} came in but "
                    f"{kept} were kept, {cut} cut and {taken_out} removed or quarantined"
                )

    def merge(self, other: Entry | LedgerEntry) -> None:
        """Add the counts of the same stage and source elsewhere."""
        self.arrive(other.documents_in, other.bytes_in)
        self.keep(other.documents_kept, other.bytes_kept, other.bytes_out)
        for reason, size in other.cut.items():
            self.cut_out(reason, size)
        for mine, theirs in ((self.removed, other.removed), (self.quarantined, other.quarantined)):
            for reason, (documents, size) in theirs.items():
                add(mine, reason, documents, size)
        for code, count in other.languages.items():
            self.language(code).merge(count)

    def record(self) -> LedgerEntry:
        """The counts so far."""
        return LedgerEntry(
            self.stage,
            self.source,
            self.documents_in,
            self.bytes_in,
            self.documents_kept,
            self.bytes_kept,
            self.bytes_out,
            dict(self.removed),
            dict(self.quarantined),
            dict(self.cut),
            recorded(self.languages),
        )


class Ledger:
    """Entries in the order in which stages first appear."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def entry(self, stage: str, source: str) -> Entry:
        """The entry of a stage and source, made on first use."""
        return self._entries.setdefault((stage, source), Entry(stage, source))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def check(self, where: str) -> None:
        """Raise LedgerError for the first entry that does not balance."""
        for entry in self._entries.values():
            entry.check(where)

    def record(self) -> tuple[LedgerEntry, ...]:
        """The counts so far, for a receipt or manifest."""
        return tuple(entry.record() for entry in self._entries.values())

    def add(self, entries: Iterable[LedgerEntry]) -> None:
        """Add the ledger of one more unit."""
        for entry in entries:
            self.entry(entry.stage, entry.source).merge(entry)

    @classmethod
    def total(cls, parts: Iterable[Iterable[LedgerEntry]]) -> Ledger:
        """Sum of the ledgers of many units."""
        ledger = cls()
        for part in parts:
            ledger.add(part)
        return ledger
