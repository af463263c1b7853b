"""What `inspect` found, as plain text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import singledispatch

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.cluster_rendering import render_clusters, render_recall
from corpusmill.pipelines.inspection.found import (
    Found,
    FoundCuts,
    FoundDataset,
    FoundEncoded,
    FoundPairs,
    FoundRemoved,
    FoundRun,
    FoundScores,
    FoundShard,
    FoundStep,
    FoundTable,
    FoundUnfinishedStep,
)
from corpusmill.pipelines.inspection.held_out_facts import render_held_out
from corpusmill.pipelines.inspection.language_facts import render_languages
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, PackingFacts, missed
from corpusmill.pipelines.inspection.mixture_rendering import render_groups
from corpusmill.pipelines.inspection.run_record import STATES
from corpusmill.pipelines.inspection.score_rendering import render_scores
from corpusmill.pipelines.inspection.tokenizer_rendering import render_tokenizer
from corpusmill.pipelines.inspection.window_facts import render_run_windows, render_windows
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.opaque import Row
from corpusmill.pipelines.records.summary_table import without_tables
from corpusmill.pipelines.records.tokenizer_figures import InspectedTokenizer
from corpusmill.pipelines.storage.versions import VERSIONS

_STALE = "made from other inputs or options; a run without --until makes them again"
_NOT_KEPT = "; removed after use (`keep: {}`), but for lists of removed documents"
_PIECES = 8  # of a row shown
_CUT = 3  # documents that are cut, of a source


def render_inspection(found: Found) -> str:
    """What `inspect` found, as text for a terminal."""
    note = version_note(found)
    return _render(found) if note is None else f"{note}\n{_render(found)}"


def version_note(found: Found) -> str | None:
    """A line about a step or file that is not the run's own version; None where it is, or is of no run."""
    if isinstance(found, (FoundRun, FoundScores, InspectedTokenizer)):
        return None
    return VERSIONS.get(found.version or "")


@singledispatch
def _render(found: object) -> str:
    raise TypeError(f"no rendering of {type(found).__name__}")


@_render.register
def _scores(found: FoundScores) -> str:
    return render_scores(found.scores)


@_render.register
def _run(found: FoundRun) -> str:
    lines = [f"run {found.name} (seed {found.seed}) in {found.path}", ""]
    steps = [(s.name, s.operator, s.state, s.units, s.rows, text.size(s.bytes)) for s in found.steps]
    lines.append(text.table(("step", "operator", "state", "units", "rows", "output"), steps))
    waiting = [STATES[s.state] for s in found.steps if s.state not in ("complete", "stale")]
    if waiting:
        lines += ["", f"{len(waiting)} step(s) not complete: {'; '.join(sorted(set(waiting)))}"]
    if found.until:
        lines += ["", f"the last run was asked for: {', '.join(found.until)}"]
    if found.stale:
        lines += ["", f"{len(found.stale)} step(s) stale: {', '.join(found.stale)}; {_STALE}"]
    if found.sources:
        rows = [
            (
                name,
                source.domain,
                source.documents_read,
                source.documents,
                text.percent(source.documents, source.documents_read),
                text.size(source.bytes_read),
                text.size(source.bytes),
            )
            for name, source in found.sources.items()
        ]
        headers = ("source", "domain", "read", "left", "of read", "bytes read", "bytes left")
        lines += ["", text.table(headers, rows)]
    if found.held_out is not None:
        lines += ["", render_held_out(found.held_out)]
    if found.mixture is not None:
        lines += ["", *_stale_note(found.mixture.step, found), _mixture(found.mixture)]
    if found.packing is not None:
        lines += ["", *_stale_note(found.packing.step, found), _packing(found.packing)]
        lines += render_run_windows(found.windows)
    return "\n".join(lines)


def _stale_note(step: str, found: FoundRun) -> list[str]:
    return [f"stale ({step} was made from other inputs or options):"] if step in found.stale else []


def _mixture(mixture: MixtureFacts) -> str:
    rows = [
        (
            name,
            source.available_tokens,
            source.requested_tokens,
            source.achieved_tokens,
            text.percent(source.requested_share, 1),
            text.percent(source.achieved_share, 1),
            "-" if source.epochs is None else round(source.epochs, 3),
        )
        for name, source in mixture.sources.items()
    ]
    headers = ("mixture", "available", "requested", "achieved", "share asked", "share got", "epochs")
    lines = [text.table(headers, rows), *missed(mixture)]
    lines += [
        f"{name}: document {cut.document} is cut to its first {cut.tokens:,} of {cut.of:,} tokens"
        for name, source in mixture.sources.items()
        for cut in source.cut[:_CUT]
    ]
    lines += render_groups(mixture)
    return "\n".join(lines)


def _packing(packing: PackingFacts) -> str:
    return text.facts(
        [
            ("shards", f"{packing.shards:,} in {packing.folder}"),
            ("sequence length", packing.sequence_length),
            ("rows", packing.rows),
            ("tokens", packing.tokens),
            ("padding", f"{packing.padding:,} ({_share(packing.padding_share, 2)})"),
            ("documents", packing.documents),
            ("fill-in-the-middle", f"{packing.fim_documents:,} ({_share(packing.fim_rate)})"),
            ("in more than one row", f"{_share(packing.divided_share)} of documents"),
            ("behind another document", f"{_share(packing.behind_others_share)} of tokens"),
            ("pieces per row", _rounded(packing.pieces_per_row)),
        ]
    )


def _share(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def _rounded(value: float | None) -> str:
    return "-" if value is None else str(round(value, 2))


@_render.register
def _unfinished(found: FoundUnfinishedStep) -> str:
    said = f"not complete: {found.units} unit(s) committed; run the recipe again"
    return "\n".join([f"step {found.name} in {found.path}", "", said])


@_render.register
def _step(found: FoundStep) -> str:
    lines = [f"step {found.name} in {found.path}", ""]
    left = "" if found.not_kept is None else _NOT_KEPT.format(found.not_kept)
    lines.append(
        text.facts(
            [
                ("operator", found.operator),
                ("fingerprint", found.fingerprint),
                ("units", found.units),
                ("rows", found.rows),
                ("files", f"{found.files:,} of {text.size(found.bytes)}{left}"),
                *[(f"stage {s.name}", json.dumps(s.options, ensure_ascii=False)) for s in found.stages],
                *[(f"version of {name}", version) for name, version in found.versions.items()],
            ]
        )
    )
    if found.ledger:
        rows = [row for entry in found.ledger for row in _outcomes(entry)]
        lines += ["", text.table(("source", "stage", "outcome", "documents", "bytes"), rows)]
    lines += render_languages(found.ledger)
    if found.clusters is not None:
        lines += render_clusters(found.clusters)
    if found.recall is not None:
        lines += render_recall(found.recall)
    if found.first_files:
        files = [(file.name, text.size(file.bytes), file.sha256) for file in found.first_files]
        lines += ["", text.table(("file", "size", "sha256"), files)]
    for table in found.tables:
        lines += ["", table.title, "", text.table(table.columns, table.rows)]
    for summary in filter(None, map(without_tables, found.summaries)):
        lines += ["", text.printable(json.dumps(summary, ensure_ascii=False), 2000)]
    return "\n".join(lines)


def _outcomes(entry: LedgerEntry) -> Iterator[tuple[str, str, str, int | str, str]]:
    """Rows of the ledger's table: what was lost by reason, what was kept, what was cut."""
    place = entry.source, entry.stage
    for kind, tallies in (("removed", entry.removed), ("quarantined", entry.quarantined)):
        for reason, (documents, size) in sorted(tallies.items()):
            yield *place, f"{kind}: {text.reason(reason)}", documents, text.size(size)
    yield *place, "kept", entry.documents_kept, text.size(entry.bytes_kept)
    for reason, size in sorted(entry.cut.items()):
        yield *place, f"cut: {text.reason(reason)}", "", text.size(size)


@_render.register
def _dataset(found: FoundDataset) -> str:
    head = [
        ("rows", found.rows),
        ("row groups", found.parts),
        ("size", text.size(found.bytes)),
        ("text", text.size(found.text_bytes)),
        ("scores", ", ".join(found.scores) or None),
    ]
    lines = [found.path, "", text.facts(head)]
    for name, counts in found.counts.items():
        lines += ["", text.table((name, "documents"), list(counts.items()))]
    return "\n".join([*lines, *_documents(found.first_rows)])


def _documents(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        about = [
            (name, value)
            for name, value in row.items()
            if value is not None and name not in ("id", "text", "meta", "raw") and "." not in name
        ]
        lines += ["", row.get("id") or "(no id)", text.facts(about, "  ")]
        if content := row.get("text"):
            lines.append(f"  {text.printable(content, 240)}")
    return lines


@_render.register
def _encoded(found: FoundEncoded) -> str:
    head = [("rows", found.rows), ("size", text.size(found.bytes)), ("framed", found.fim_documents)]
    rows = [(name, source.documents, source.tokens) for name, source in found.sources.items()]
    lines = [found.path, "", text.facts(head), "", text.table(("source", "documents", "tokens"), rows)]
    return "\n".join([*lines, *_documents(found.first_rows)])


@_render.register
def _removed(found: FoundRemoved) -> str:
    rows = [(r.stage, r.kind, text.reason(r.reason), r.documents, text.size(r.bytes)) for r in found.reasons]
    headers = ("stage", "kind", "reason", "documents", "bytes")
    lines = [f"{found.path}: {found.rows:,} removed documents", "", text.table(headers, rows)]
    for row in found.first_rows:
        lines += ["", f"{row.id or row.position}  {row.stage}: {text.reason(row.reason)}"]
        if row.survivor_id is not None:
            similarity = f"{row.similarity:.4g}" if row.similarity is not None else "-"
            lines.append(f"  survivor {row.survivor_id} ({row.survivor_source}), {similarity}")
        if row.detail:
            lines.append(f"  {text.printable(row.detail, 240)}")
        if row.excerpt:
            lines.append(f"  {text.printable(row.excerpt, 240)}")
    return "\n".join(lines)


@_render.register
def _cuts(found: FoundCuts) -> str:
    rows = [(r.stage, text.reason(r.reason), r.spans, text.size(r.bytes)) for r in found.reasons]
    lines = [f"{found.path}: {found.rows:,} parts cut from documents", ""]
    lines.append(text.table(("stage", "reason", "spans", "bytes"), rows))
    for row in found.first_rows:
        kept = f", as in {row.survivor_id}" if row.survivor_id is not None else ""
        lines += ["", f"{row.id}  bytes {row.start:,} to {row.end:,}: {text.reason(row.reason)}{kept}"]
        lines.append(f"  {text.printable(row.excerpt, 240)}")
    return "\n".join(lines)


@_render.register
def _pairs(found: FoundPairs) -> str:
    lines = [f"{found.path}: {found.rows:,} pairs", ""]
    lines.append(text.table(("reason", "pairs"), list(found.reasons.items())))
    lines += ["", text.table(("similarity from", "pairs"), list(found.similarity.items()))]
    rows = [(r.id, r.survivor_id, r.similarity, r.reason) for r in found.first_rows]
    return "\n".join([*lines, "", text.table(("document", "survivor", "similarity", "reason"), rows)])


@_render.register
def _shard(found: FoundShard) -> str:
    statistics = found.statistics
    head = [
        ("size", text.size(found.bytes)),
        *[(name, json.dumps(value, ensure_ascii=False)) for name, value in sorted(found.metadata.items())],
        *[(name, found.counts.get(name)) for name in ("tokens", "padding", "documents", "pieces")],
        ("padding share", _share(statistics.padding_share, 2)),
        ("fill-in-the-middle", f"{_share(statistics.fim_rate)} of documents"),
        ("in more than one row", f"{_share(statistics.divided_share)} of documents"),
        ("behind another document", f"{_share(statistics.behind_others_share)} of tokens"),
        ("pieces per row", _rounded(statistics.pieces_per_row)),
        ("text", found.decoded),
    ]
    rows = [
        (name, source.documents, source.tokens, _share(source.share), _share(source.fim_rate))
        for name, source in statistics.sources.items()
    ]
    lines = [found.path, "", text.facts(head), ""]
    lines.append(text.table(("source", "documents", "tokens", "share", "framed"), rows))
    lines += [] if found.windows is None else render_windows(found.windows)
    for row in found.first_rows:
        lines += ["", f"row {row.row}: {len(row.pieces)} piece(s), {row.padding:,} padding"]
        for piece in row.pieces[:_PIECES]:
            where = f"{piece.start:>6,} +{piece.length:<6,} {piece.source} {piece.document}"
            lines.append(f"  {where}  {text.printable(piece.text or '', 120)}".rstrip())
        if len(row.pieces) > _PIECES:
            lines.append(f"  and {len(row.pieces) - _PIECES:,} more pieces")
    return "\n".join(lines)


@_render.register
def _table(found: FoundTable) -> str:
    lines = [f"{found.path}: {found.rows:,} rows in {found.parts:,} part(s)", ""]
    lines.append(text.table(("column", "type"), list(found.columns.items())))
    lines += ["", *(text.printable(json.dumps(row, ensure_ascii=False), 240) for row in found.first_rows)]
    return "\n".join(lines)


@_render.register
def _tokenizer(found: InspectedTokenizer) -> str:
    return render_tokenizer(found)
