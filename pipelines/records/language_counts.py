"""Documents and bytes by language, of one stage on one source.

The language is the column `lang` as the stage leaves it; documents without one are not counted here, so they
are what an entry of the ledger has more than its languages together. Only what a stage takes out or does not
judge is counted at every stage; what is kept at the last one of a run of maps, so that the documents of a
language that came to a stage are those kept and those lost there or later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Tally = tuple[int, int]  # documents, bytes

MOST = 256
"""Languages counted one by one in an entry; identified ones are fewer."""
OTHERS = "(others)"


@dataclass(frozen=True)
class LanguageEntry:
    """Counts of one language as receipts and manifests hold them: kept by the last stage, lost by reason, and
    documents that the stage let pass unjudged."""

    kept: Tally = (0, 0)
    removed: Mapping[str, Tally] = field(default_factory=dict)
    quarantined: Mapping[str, Tally] = field(default_factory=dict)
    unjudged: int = 0

    @property
    def documents(self) -> int:
        """Documents counted as kept or lost."""
        lost = (*self.removed.values(), *self.quarantined.values())
        return self.kept[0] + sum(documents for documents, _ in lost)


@dataclass
class LanguageCount:
    """The same while it is added up."""

    kept: Tally = (0, 0)
    removed: dict[str, Tally] = field(default_factory=dict)
    quarantined: dict[str, Tally] = field(default_factory=dict)
    unjudged: int = 0

    def keep(self, documents: int, size: int) -> None:
        self.kept = self.kept[0] + documents, self.kept[1] + size

    def merge(self, other: LanguageCount | LanguageEntry) -> None:
        """Add counts of the same language elsewhere."""
        self.keep(*other.kept)
        self.unjudged += other.unjudged
        for mine, theirs in ((self.removed, other.removed), (self.quarantined, other.quarantined)):
            for reason, (documents, size) in theirs.items():
                add(mine, reason, documents, size)

    def record(self) -> LanguageEntry:
        """The counts so far."""
        return LanguageEntry(self.kept, dict(self.removed), dict(self.quarantined), self.unjudged)


def add(into: dict[str, Tally], reason: str, documents: int, size: int) -> None:
    """Add to the tally of a reason."""
    had = into.get(reason, (0, 0))
    into[reason] = had[0] + documents, had[1] + size


def recorded(counts: Mapping[str, LanguageCount]) -> dict[str, LanguageEntry]:
    """Entries by language in the order of their codes; of more than `MOST` the commonest, the rest as
    `OTHERS`."""
    entries = {code: count.record() for code, count in sorted(counts.items())}
    if len(entries) <= MOST:
        return entries
    ordered = sorted(
        entries.keys() - {OTHERS},
        key=lambda code: (-entries[code].documents - entries[code].unjudged, code),
    )
    rest = LanguageCount()
    for code in sorted({*ordered[MOST - 1 :], OTHERS} & entries.keys()):
        rest.merge(entries[code])
    return {OTHERS: rest.record(), **{code: entries[code] for code in sorted(ordered[: MOST - 1])}}
