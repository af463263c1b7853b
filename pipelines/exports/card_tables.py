"""Tables of a card: sources with their licences and languages, and what became of documents at each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from corpusmill.pipelines.inspection.run_record import RunRecord

_MOST = 12  # licences, languages or reasons that are named
_CELL = str.maketrans({"|": "\\|", "\n": " ", "\r": " "})


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).translate(_CELL) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def most_first(counts: Mapping[str, int], without: str) -> str:
    """The values with the largest counts, in words; "" is named `without`."""
    order = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    named = [f"{name or without} {count:,}" for name, count in order[:_MOST]]
    rest = order[_MOST:]
    if rest:
        named.append(f"{len(rest)} more {sum(count for _, count in rest):,}")
    return ", ".join(named)


def sources_section(record: RunRecord, written: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
    """Where documents are from: by source its domain, languages and licences, by documents."""
    domains = {source.name: source.domain for source in record.sources}
    rows = []
    for name in sorted({source for source, _ in written}):
        counts: dict[str, dict[str, int]] = {"languages": {}, "licences": {}}
        for (source, _), one in written.items():
            for kind, held in counts.items() if source == name else ():
                for value, count in one[kind].items():
                    held[value] = held.get(value, 0) + count
        languages = most_first(counts["languages"], "not told")
        licences = most_first(counts["licences"], "not stated")
        rows.append((name, domains.get(name, ""), languages, licences))
    yield "## Sources\n"
    yield markdown(("source", "domain", "documents by language", "documents by licence"), rows)
    yield (
        "Licences are as the sources state them for each document (column `license`). Where none is stated, "
        "the terms of the source hold; the recipe below names it.\n"
    )


def funnel_section(record: RunRecord, written: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
    """What came to each step that decides about documents, and what became of it."""
    sources = {source for source, _ in written}
    steps, reasons = [], []
    for step in record.steps.values():
        if not step.complete or step.operator.writes not in ("documents", "removals"):
            continue
        for entry in step.ledger:
            if entry.source not in sources:
                continue
            removed = sum(count for count, _ in entry.removed.values())
            quarantined = sum(count for count, _ in entry.quarantined.values())
            steps.append(
                (
                    entry.source,
                    step.name,
                    entry.stage,
                    *(f"{n:,}" for n in (entry.documents_in, removed, quarantined, entry.documents_kept)),
                    *(f"{n:,}" for n in (entry.bytes_in, entry.bytes_cut, entry.bytes_out)),
                )
            )
            counts = {why: count for why, (count, _) in (*entry.removed.items(), *entry.quarantined.items())}
            if counts:
                reasons.append((entry.source, entry.stage, most_first(counts, "")))
    yield "## What each step did\n"
    head = ("source", "step", "stage", "documents in", "removed", "quarantined", "kept")
    yield markdown((*head, "bytes in", "bytes cut", "bytes out"), steps)
    if reasons:
        yield "Documents removed or quarantined, by reason:\n"
        yield markdown(("source", "stage", "reasons"), reasons)
