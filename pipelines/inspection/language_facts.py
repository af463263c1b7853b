"""What became of the documents of each language in a step of maps: kept, removed, or passed unjudged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.records.language_counts import LanguageCount
from corpusmill.pipelines.records.ledger import LedgerEntry

_REASONS = 3  # shown in a line
_ROWS = 40  # languages of a source in a terminal


@dataclass(frozen=True)
class LanguageLoss:
    """What a stage removed or quarantined (`kind`) for a reason."""

    stage: str
    kind: str
    reason: str
    documents: int
    bytes: int


@dataclass(frozen=True)
class LanguageRow:
    """Documents and bytes of a language: in = kept + removed + quarantined.

    Bytes are of the text as it came to the stage that took it out, or as the last stage left it. The language
    is None of documents that had none when they left. `unjudged`: documents that stages let pass without
    limits for their language, by stage; `lost`: the most documents first.
    """

    language: str | None
    documents_in: int
    bytes_in: int
    documents_kept: int
    bytes_kept: int
    documents_removed: int
    bytes_removed: int
    documents_quarantined: int
    bytes_quarantined: int
    unjudged: Mapping[str, int]
    lost: tuple[LanguageLoss, ...]

    @property
    def mostly(self) -> str:
        """The commonest reasons in words."""
        shown = [f"{loss.stage}: {text.reason(loss.reason)} {loss.documents:,}" for loss in self.lost]
        return ", ".join(shown[:_REASONS])


def languages_of(ledger: Iterable[LedgerEntry]) -> dict[str, tuple[LanguageRow, ...]]:
    """By source, the languages of a step's ledger, the most documents first; none for a source of which no
    document has a language, or whose step runs no maps.
    """
    entries: dict[str, list[LedgerEntry]] = {}
    for entry in ledger:
        entries.setdefault(entry.source, []).append(entry)
    return {
        source: _rows(found)
        for source, found in sorted(entries.items())
        if any(entry.languages for entry in found)
    }


def _rows(entries: list[LedgerEntry]) -> tuple[LanguageRow, ...]:
    codes = sorted({code for entry in entries for code in entry.languages})
    of_code: dict[str | None, list[tuple[str, LanguageCount]]] = {code: [] for code in codes}
    without: list[tuple[str, LanguageCount]] = []
    for entry in entries:
        rest = LanguageCount(
            removed=dict(entry.removed), quarantined=dict(entry.quarantined)
        )  # of documents without a language: what is left of all
        if entry is entries[-1]:
            rest.kept = entry.documents_kept, entry.bytes_out
        for code, found in entry.languages.items():
            count = LanguageCount()
            count.merge(found)
            of_code[code].append((entry.stage, count))
            rest.kept = rest.kept[0] - found.kept[0], rest.kept[1] - found.kept[1]
            for mine, theirs in ((rest.removed, found.removed), (rest.quarantined, found.quarantined)):
                for reason, (documents, size) in theirs.items():
                    mine[reason] = mine[reason][0] - documents, mine[reason][1] - size
        without.append((entry.stage, rest))
    rows = [_row(code, counts) for code, counts in of_code.items()]
    rows.sort(key=lambda row: (-row.documents_in, row.language or ""))
    rest_row = _row(None, without)
    return (*rows, rest_row) if rest_row.documents_in else tuple(rows)


def _row(language: str | None, counts: list[tuple[str, LanguageCount]]) -> LanguageRow:
    kept = [sum(count.kept[part] for _, count in counts) for part in (0, 1)]
    lost = [
        LanguageLoss(stage, kind, reason, documents, size)
        for stage, count in counts
        for kind, tallies in (("removed", count.removed), ("quarantined", count.quarantined))
        for reason, (documents, size) in sorted(tallies.items())
        if documents
    ]
    lost.sort(key=lambda loss: -loss.documents)
    removed = [loss for loss in lost if loss.kind == "removed"]
    quarantined = [loss for loss in lost if loss.kind == "quarantined"]
    return LanguageRow(
        language=language,
        documents_in=kept[0] + sum(loss.documents for loss in lost),
        bytes_in=kept[1] + sum(loss.bytes for loss in lost),
        documents_kept=kept[0],
        bytes_kept=kept[1],
        documents_removed=sum(loss.documents for loss in removed),
        bytes_removed=sum(loss.bytes for loss in removed),
        documents_quarantined=sum(loss.documents for loss in quarantined),
        bytes_quarantined=sum(loss.bytes for loss in quarantined),
        unjudged={stage: count.unjudged for stage, count in counts if count.unjudged},
        lost=tuple(lost),
    )


def unjudged(rows: Iterable[LanguageRow]) -> dict[str, list[tuple[str, int]]]:
    """By stage, the languages it let pass without judging, with documents, the most first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        for stage, documents in row.unjudged.items():
            found.setdefault(stage, []).append((row.language or "", documents))
    return {stage: sorted(pairs, key=lambda pair: (-pair[1], pair[0])) for stage, pairs in found.items()}


def render_languages(ledger: Iterable[LedgerEntry]) -> list[str]:
    """Lines of the table for a terminal, none where no document has a language."""
    lines: list[str] = []
    found = languages_of(ledger)
    table = [
        (
            source,
            text.printable(row.language) if row.language is not None else "(none)",
            row.documents_in,
            row.documents_kept,
            row.documents_removed,
            text.size(row.bytes_removed),
            row.documents_quarantined,
            row.mostly,
        )
        for source, rows in found.items()
        for row in rows[:_ROWS]
    ]
    if table:
        headers = ("source", "lang", "in", "kept", "removed", "bytes removed", "quarantined", "mostly")
        lines += ["", text.table(headers, table)]
    for source, rows in found.items():
        if len(rows) > _ROWS:
            lines.append(f"{source}: and {len(rows) - _ROWS} more languages; --json shows all")
        for stage, pairs in unjudged(rows).items():
            shown = ", ".join(f"{text.printable(code)} {documents:,}" for code, documents in pairs[:_ROWS])
            lines.append(f"{source}: not judged by {stage}, which has no limits for them: {shown}")
    return lines
