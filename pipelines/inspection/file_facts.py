"""What single files of a run hold: documents, encoded documents, removed documents, pairs, other tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.documents import SCHEMA
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.records.codec import Json

EXCERPT = 300  # characters of a text shown


def parquet_facts(path: Path, file: Any, limit: int) -> Json:
    """A dataset: counts from its `source` and `lang` columns, and the first documents."""
    schema = file.schema_arrow
    if "id" not in schema.names or "source" not in schema.names:
        return {
            "kind": "table",
            "path": str(path),
            "rows": file.metadata.num_rows,
            "parts": file.num_row_groups,
            "columns": _columns(schema),
            "first_rows": _shortened(_first_groups(file, limit)),
        }
    counted = [name for name in ("source", "lang", "license") if name in schema.names]
    tallies: dict[str, Counter[str]] = {name: Counter() for name in counted}
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=counted, use_threads=False)
        for name in counted:
            _count(tallies[name], table.column(name))
    text_bytes = 0
    for group in range(file.num_row_groups):
        facts = file.metadata.row_group(group)
        for index in range(facts.num_columns):
            column = facts.column(index)
            if column.path_in_schema == "text":
                text_bytes += column.total_uncompressed_size
    return {
        "kind": "dataset",
        "path": str(path),
        "bytes": path.stat().st_size,
        "rows": file.metadata.num_rows,
        "parts": file.num_row_groups,
        "text_bytes": text_bytes,
        "columns": _columns(schema),
        "scores": [name for name in schema.names if name not in SCHEMA.names and "." in name],
        "counts": {name: _common(tally) for name, tally in tallies.items()},
        "first_rows": _shortened(_first_groups(file, limit)),
    }


def encoded_facts(path: Path, limit: int) -> Json:
    """Encoded documents: counts, token totals by source, and the first documents without their tokens."""
    documents: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    fim = rows = 0
    first: list[Json] = []
    for batch in arrow_batches(path, None):
        lengths = pc.list_value_length(batch.column("tokens"))
        table = pa.table({"source": batch.column("source"), "tokens": lengths})
        sums = table.group_by("source", use_threads=False).aggregate([("tokens", "sum"), ("tokens", "count")])
        for row in sums.to_pylist():
            documents[row["source"]] += row["tokens_count"]
            tokens[row["source"]] += row["tokens_sum"]
        fim += pc.sum(batch.column("fim")).as_py() or 0
        rows += batch.num_rows
        for at in range(min(batch.num_rows, limit - len(first))):
            names = [name for name in batch.schema.names if name != "tokens"]
            row = batch.slice(at, 1).select(names).to_pylist()[0]
            first.append({**row, "tokens": lengths[at].as_py()})
    return {
        "kind": "encoded dataset",
        "path": str(path),
        "bytes": path.stat().st_size,
        "rows": rows,
        "fim_documents": fim,
        "sources": {s: {"documents": documents[s], "tokens": tokens[s]} for s in sorted(documents)},
        "first_rows": _shortened(first),
    }


def removed_facts(path: Path, limit: int) -> Json:
    """Removed documents: documents and bytes by stage, kind and reason, and the first with an excerpt."""
    tally: dict[tuple[str, str, str], list[int]] = {}
    first: list[Json] = []
    spare: list[Json] = []
    rows = 0
    keys = ["stage", "kind", "reason"]
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        grouped = pa.Table.from_batches([batch.select([*keys, "bytes"])]).group_by(keys, use_threads=False)
        for row in grouped.aggregate([("bytes", "sum"), ("bytes", "count")]).to_pylist():
            held = tally.setdefault((row["stage"], row["kind"], row["reason"]), [0, 0])
            held[0] += row["bytes_count"]
            held[1] += row["bytes_sum"]
        with_excerpt = pc.indices_nonzero(batch.column("excerpt").is_valid())
        first += batch.take(with_excerpt[: max(0, limit - len(first))]).to_pylist()
        spare += batch.slice(0, max(0, limit - len(spare))).to_pylist()
    return {
        "kind": "removed documents",
        "path": str(path),
        "rows": rows,
        "reasons": [
            {"stage": s, "kind": k, "reason": r, "documents": documents, "bytes": size}
            for (s, k, r), (documents, size) in sorted(tally.items())
        ],
        "first_rows": _shortened(first or spare),
    }


def cut_facts(path: Path, limit: int) -> Json:
    """Parts cut from documents: spans and bytes by stage and reason, and the first with an excerpt."""
    tally: dict[tuple[str, str], list[int]] = {}
    first: list[Json] = []
    rows = 0
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        sizes = pc.subtract(batch.column("end"), batch.column("start")).cast(pa.int64())
        table = pa.Table.from_batches([batch.select(["stage", "reason"])]).append_column("bytes", sizes)
        grouped = table.group_by(["stage", "reason"], use_threads=False)
        for row in grouped.aggregate([("bytes", "sum"), ("bytes", "count")]).to_pylist():
            held = tally.setdefault((row["stage"], row["reason"]), [0, 0])
            held[0] += row["bytes_count"]
            held[1] += row["bytes_sum"]
        with_excerpt = pc.indices_nonzero(batch.column("excerpt").is_valid())
        first += batch.take(with_excerpt[: max(0, limit - len(first))]).to_pylist()
    return {
        "kind": "cuts",
        "path": str(path),
        "rows": rows,
        "reasons": [
            {"stage": stage, "reason": reason, "spans": spans, "bytes": size}
            for (stage, reason), (spans, size) in sorted(tally.items())
        ],
        "first_rows": _shortened(first),
    }


def pair_facts(path: Path, limit: int) -> Json:
    """Pairs of duplicates: counts by reason and by tenth of similarity, and the first pairs."""
    reasons: Counter[str] = Counter()
    tenths: Counter[int] = Counter()
    first: list[Json] = []
    rows = 0
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        _count(reasons, batch.column("reason"))
        for value in batch.column("similarity").to_numpy():
            tenths[min(9, int(value * 10))] += 1
        first += batch.slice(0, max(0, limit - len(first))).to_pylist()
    return {
        "kind": "pairs",
        "path": str(path),
        "rows": rows,
        "reasons": _common(reasons),
        "similarity": {f"{tenth / 10:.1f}": n for tenth, n in sorted(tenths.items())},
        "first_rows": first,
    }


def arrow_facts(path: Path, limit: int) -> Json:
    """Any other Arrow file: schema, rows, and the first rows shortened."""
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        schema, batches = reader.schema, reader.num_record_batches
    rows = 0
    first: list[Json] = []
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        first += batch.slice(0, max(0, limit - len(first))).to_pylist()
    return {
        "kind": "table",
        "path": str(path),
        "rows": rows,
        "parts": batches,
        "columns": _columns(schema),
        "first_rows": _shortened(first),
    }


def _columns(schema: pa.Schema) -> Json:
    return {field.name: str(field.type) for field in schema}


def _count(into: Counter[str], column: pa.Array | pa.ChunkedArray) -> None:
    for item in pc.value_counts(column).to_pylist():
        into[str(item["values"]) if item["values"] is not None else "(unknown)"] += item["counts"]


def _common(tally: Counter[str], most: int = 20) -> Json:
    """The commonest values; what is not shown is added up, so that nothing seems missing."""
    shown = sorted(tally.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in shown[most:])
    return {**dict(shown[:most]), **({"(others)": rest} if rest else {})}


def _first_groups(file: Any, limit: int) -> list[Json]:
    rows: list[Json] = []
    for group in range(file.num_row_groups):
        if len(rows) >= limit:
            break
        names = [name for name in file.schema_arrow.names if name != "raw"]
        table = file.read_row_group(group, columns=names, use_threads=False)
        rows += table.slice(0, limit - len(rows)).to_pylist()
    return rows


def _shortened(rows: Iterable[Json]) -> list[Json]:
    """Rows fit to be shown and to be JSON: long texts cut, bytes as hex."""
    return [{name: _short(value) for name, value in row.items()} for row in rows]


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= EXCERPT else value[:EXCERPT] + "…"
    if isinstance(value, bytes):
        return value[:EXCERPT].hex()
    if isinstance(value, list):
        return [_short(item) for item in value[:32]]
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return str(value)
