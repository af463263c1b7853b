"""What `inspect` found, as plain text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.held_out_facts import render_held_out
from corpusmill.pipelines.inspection.mixture_facts import missed
from corpusmill.pipelines.inspection.run_record import STATES
from corpusmill.pipelines.inspection.tokenizer_rendering import render_tokenizer
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.versions import VERSIONS

_STALE = "made from other inputs or options; a run without --until makes them again"


def _run(found: Json) -> str:
    lines = [f"run {found['name']} (seed {found['seed']}) in {found['path']}", ""]
    steps = [
        (s["name"], s["operator"], s["state"], s["units"], s["rows"], text.size(s["bytes"]))
        for s in found["steps"]
    ]
    lines.append(text.table(("step", "operator", "state", "units", "rows", "output"), steps))
    waiting = [STATES[s["state"]] for s in found["steps"] if s["state"] not in ("complete", "stale")]
    if waiting:
        lines += ["", f"{len(waiting)} step(s) not complete: {'; '.join(sorted(set(waiting)))}"]
    if found["until"]:
        lines += ["", f"the last run was asked for: {', '.join(found['until'])}"]
    if found["stale"]:
        lines += ["", f"{len(found['stale'])} step(s) stale: {', '.join(found['stale'])}; {_STALE}"]
    if found["sources"]:
        rows = [
            (
                name,
                held["domain"],
                held["documents_read"],
                held["documents"],
                text.percent(held["documents"], held["documents_read"]),
                text.size(held["bytes_read"]),
                text.size(held["bytes"]),
            )
            for name, held in found["sources"].items()
        ]
        headers = ("source", "domain", "read", "left", "of read", "bytes read", "bytes left")
        lines += ["", text.table(headers, rows)]
    if found["held_out"] is not None:
        lines += ["", render_held_out(found["held_out"])]
    if found["mixture"] is not None:
        lines += ["", *_stale_note(found["mixture"], found), _mixture(found["mixture"])]
    if found["packing"] is not None:
        lines += ["", *_stale_note(found["packing"], found), _packing(found["packing"])]
    return "\n".join(lines)


def _stale_note(facts: Json, found: Json) -> list[str]:
    step = facts["step"]
    return [f"stale ({step} was made from other inputs or options):"] if step in found["stale"] else []


def version_note(found: Json) -> str | None:
    """A line about a step or file that is not the run's own version; None where it is, or is of no run."""
    return VERSIONS.get(found.get("version") or "")


def _mixture(mixture: Json) -> str:
    rows = [
        (
            name,
            held["available_tokens"],
            held["requested_tokens"],
            held["achieved_tokens"],
            text.percent(held["requested_share"], 1),
            text.percent(held["achieved_share"], 1),
            "-" if held["epochs"] is None else round(held["epochs"], 3),
        )
        for name, held in mixture["sources"].items()
    ]
    headers = ("mixture", "available", "requested", "achieved", "share asked", "share got", "epochs")
    lines = [text.table(headers, rows), *missed(mixture)]
    lines += [
        f"{name}: document {cut['document']} is cut to its first {cut['tokens']:,} of {cut['of']:,} tokens"
        for name, held in mixture["sources"].items()
        if (cut := held["cut"])
    ]
    return "\n".join(lines)


def _packing(packing: Json) -> str:
    return text.facts(
        [
            ("shards", f"{packing['shards']:,} in {packing['folder']}"),
            ("sequence length", packing["sequence_length"]),
            ("rows", packing["rows"]),
            ("tokens", packing["tokens"]),
            ("padding", f"{packing['padding']:,} ({_share(packing['padding_share'], 2)})"),
            ("documents", packing["documents"]),
            ("fill-in-the-middle", f"{packing['fim_documents']:,} ({_share(packing['fim_rate'])})"),
            ("pieces per row", _rounded(packing["pieces_per_row"])),
        ]
    )


def _share(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def _rounded(value: float | None) -> str:
    return "-" if value is None else str(round(value, 2))


def _step(found: Json) -> str:
    lines = [f"step {found['name']} in {found['path']}", ""]
    if found["state"] != "complete":
        return "\n".join([*lines, f"not complete: {found['units']} unit(s) committed; run the recipe again"])
    lines.append(
        text.facts(
            [
                ("operator", found["operator"]),
                ("fingerprint", found["fingerprint"]),
                ("units", found["units"]),
                ("rows", found["rows"]),
                ("files", f"{found['files']:,} of {text.size(found['bytes'])}"),
                *[
                    (f"stage {s['name']}", json.dumps(s["options"], ensure_ascii=False))
                    for s in found["stages"]
                ],
                *[(f"version of {name}", held) for name, held in found["versions"].items()],
            ]
        )
    )
    if found["ledger"]:
        rows = []
        for entry in found["ledger"]:
            for kind in ("removed", "quarantined"):
                for reason, (documents, size) in sorted(entry[kind].items()):
                    rows.append(
                        (entry["source"], entry["stage"], f"{kind}: {reason}", documents, text.size(size))
                    )
            kept = ("kept", entry["documents_kept"], text.size(entry["bytes_kept"]))
            rows.append((entry["source"], entry["stage"], *kept))
            for reason, size in sorted(entry.get("cut", {}).items()):
                rows.append((entry["source"], entry["stage"], f"cut: {reason}", "", text.size(size)))
        lines += ["", text.table(("source", "stage", "outcome", "documents", "bytes"), rows)]
    if found["first_files"]:
        files = [(file["name"], text.size(file["bytes"]), file["sha256"]) for file in found["first_files"]]
        lines += ["", text.table(("file", "size", "sha256"), files)]
    for summary in found["summaries"]:
        lines += ["", text.printable(json.dumps(summary, ensure_ascii=False), 2000)]
    return "\n".join(lines)


def _dataset(found: Json) -> str:
    head = [
        ("rows", found["rows"]),
        ("row groups", found["parts"]),
        ("size", text.size(found["bytes"])),
        ("text", text.size(found["text_bytes"])),
        ("scores", ", ".join(found["scores"]) or None),
    ]
    lines = [found["path"], "", text.facts(head)]
    for name, counts in found["counts"].items():
        lines += ["", text.table((name, "documents"), list(counts.items()))]
    return "\n".join([*lines, *_documents(found["first_rows"])])


def _documents(rows: list[Json]) -> list[str]:
    lines = []
    for row in rows:
        about = [
            (name, value)
            for name, value in row.items()
            if value is not None and name not in ("id", "text", "meta", "raw") and "." not in name
        ]
        lines += ["", row["id"] or "(no id)", text.facts(about, "  ")]
        if row.get("text"):
            lines.append(f"  {text.printable(row['text'], 240)}")
    return lines


def _encoded(found: Json) -> str:
    head = [("rows", found["rows"]), ("size", text.size(found["bytes"])), ("framed", found["fim_documents"])]
    rows = [(name, held["documents"], held["tokens"]) for name, held in found["sources"].items()]
    lines = [found["path"], "", text.facts(head), "", text.table(("source", "documents", "tokens"), rows)]
    return "\n".join([*lines, *_documents(found["first_rows"])])


def _removed(found: Json) -> str:
    rows = [
        (r["stage"], r["kind"], r["reason"], r["documents"], text.size(r["bytes"])) for r in found["reasons"]
    ]
    headers = ("stage", "kind", "reason", "documents", "bytes")
    lines = [f"{found['path']}: {found['rows']:,} removed documents", "", text.table(headers, rows)]
    for row in found["first_rows"]:
        lines += ["", f"{row['id'] or row['position']}  {row['stage']}: {text.printable(row['reason'])}"]
        if row["survivor_id"] is not None:
            lines.append(
                f"  survivor {row['survivor_id']} ({row['survivor_source']}), {row['similarity']:.4g}"
            )
        if row["detail"]:
            lines.append(f"  {text.printable(row['detail'], 240)}")
        if row["excerpt"]:
            lines.append(f"  {text.printable(row['excerpt'], 240)}")
    return "\n".join(lines)


def _cuts(found: Json) -> str:
    rows = [(r["stage"], r["reason"], r["spans"], text.size(r["bytes"])) for r in found["reasons"]]
    lines = [f"{found['path']}: {found['rows']:,} parts cut from documents", ""]
    lines.append(text.table(("stage", "reason", "spans", "bytes"), rows))
    for row in found["first_rows"]:
        kept = f", kept in {row['survivor_id']}" if row["survivor_id"] is not None else ""
        lines += ["", f"{row['id']}  bytes {row['start']:,} to {row['end']:,}: {row['reason']}{kept}"]
        lines.append(f"  {text.printable(row['excerpt'], 240)}")
    return "\n".join(lines)


def _pairs(found: Json) -> str:
    lines = [f"{found['path']}: {found['rows']:,} pairs", ""]
    lines.append(text.table(("reason", "pairs"), list(found["reasons"].items())))
    lines += ["", text.table(("similarity from", "pairs"), list(found["similarity"].items()))]
    rows = [(r["id"], r["survivor_id"], r["similarity"], r["reason"]) for r in found["first_rows"]]
    return "\n".join([*lines, "", text.table(("document", "survivor", "similarity", "reason"), rows)])


def _shard(found: Json) -> str:
    about, statistics = found["metadata"], found["statistics"]
    head = [
        ("size", text.size(found["bytes"])),
        *[(name, json.dumps(value, ensure_ascii=False)) for name, value in sorted(about.items())],
        *[(name, found["counts"].get(name)) for name in ("tokens", "padding", "documents", "pieces")],
        ("padding share", _share(statistics["padding_share"], 2)),
        ("fill-in-the-middle", f"{_share(statistics['fim_rate'])} of documents"),
        ("pieces per row", _rounded(statistics["pieces_per_row"])),
        ("text", found["decoded"]),
    ]
    rows = [
        (name, held["documents"], held["tokens"], _share(held["share"]))
        for name, held in statistics["sources"].items()
    ]
    lines = [found["path"], "", text.facts(head), ""]
    lines.append(text.table(("source", "documents", "tokens", "share"), rows))
    for row in found["first_rows"]:
        lines += ["", f"row {row['row']}: {len(row['pieces'])} piece(s), {row['padding']:,} padding"]
        for piece in row["pieces"][:8]:
            where = f"{piece['start']:>6,} +{piece['length']:<6,} {piece['source']} {piece['document']}"
            lines.append(f"  {where}  {text.printable(piece.get('text', ''), 120)}".rstrip())
        if len(row["pieces"]) > 8:
            lines.append(f"  and {len(row['pieces']) - 8:,} more pieces")
    return "\n".join(lines)


def _table(found: Json) -> str:
    lines = [f"{found['path']}: {found['rows']:,} rows in {found['parts']:,} part(s)", ""]
    lines.append(text.table(("column", "type"), list(found["columns"].items())))
    lines += ["", *(text.printable(json.dumps(row, ensure_ascii=False), 240) for row in found["first_rows"])]
    return "\n".join(lines)


RENDERERS: Mapping[str, Callable[[Any], str]] = {
    "run": _run,
    "step": _step,
    "dataset": _dataset,
    "encoded dataset": _encoded,
    "removed documents": _removed,
    "cuts": _cuts,
    "pairs": _pairs,
    "token shard": _shard,
    "table": _table,
    "tokenizer": render_tokenizer,
}
