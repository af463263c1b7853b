"""The ledger: documents and bytes in = kept + cut + removed by reason + quarantined, per stage and source.

Bytes are UTF-8 bytes of text (raw page bytes before extraction) as they *entered* the stage, so the
equation holds for stages that change the text too; `out` counts the bytes that left it. A document of which
only a part is kept is a document kept; the bytes of the other part are cut, counted by their reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.contract.errors import LedgerError

Tally = list[int]  # [documents, bytes]


def _add(into: dict[str, Tally], reason: str, documents: int, size: int) -> None:
    tally = into.setdefault(reason, [0, 0])
    tally[0] += documents
    tally[1] += size


@dataclass
class Entry:
    """Counts of one stage on one source. All byte figures but `out` are as they entered the stage."""

    stage: str
    source: str
    documents_in: int = 0
    bytes_in: int = 0
    documents_kept: int = 0
    bytes_kept: int = 0
    bytes_out: int = 0
    removed: dict[str, Tally] = field(default_factory=dict)
    quarantined: dict[str, Tally] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)  # reason -> bytes

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
        _add(self.removed, reason, documents, size)

    def quarantine(self, reason: str, documents: int, size: int) -> None:
        _add(self.quarantined, reason, documents, size)

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

    def merge(self, other: Entry) -> None:
        """Add the counts of the same stage and source elsewhere."""
        self.arrive(other.documents_in, other.bytes_in)
        self.keep(other.documents_kept, other.bytes_kept, other.bytes_out)
        for reason, size in other.cut.items():
            self.cut_out(reason, size)
        for mine, theirs in ((self.removed, other.removed), (self.quarantined, other.quarantined)):
            for reason, (documents, size) in theirs.items():
                _add(mine, reason, documents, size)

    def as_json(self) -> dict[str, Any]:
        """For receipts and manifests; `cut` is left out where nothing is cut."""
        return {name: value for name, value in self.__dict__.items() if name != "cut" or value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Entry:
        copy: dict[str, Any] = {
            k: {r: list(t) if isinstance(t, list) else t for r, t in v.items()} if isinstance(v, dict) else v
            for k, v in value.items()
        }
        return cls(**copy)


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

    def as_json(self) -> list[dict[str, Any]]:
        return [entry.as_json() for entry in self._entries.values()]

    @classmethod
    def total(cls, parts: Iterable[list[dict[str, Any]]]) -> Ledger:
        """Sum of the ledgers of many units."""
        ledger = cls()
        for part in parts:
            for value in part:
                entry = Entry.from_json(value)
                ledger.entry(entry.stage, entry.source).merge(entry)
        return ledger
