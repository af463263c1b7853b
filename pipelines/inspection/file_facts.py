"""What single files of a run hold: documents, encoded documents, removed documents, pairs, other tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.documents import SCHEMA
from corpusmill.pipelines.inspection.found import (
    CutReason,
    EncodedSource,
    FoundCuts,
    FoundDataset,
    FoundEncoded,
    FoundPairs,
    FoundRemoved,
    FoundTable,
    RemovedReason,
)
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.removed_rows import CutRow, PairRow, RemovedRow
from corpusmill.pipelines.records.opaque import Row
from corpusmill.pipelines.storage.pairs import unpacked

EXCERPT = 300  # characters of a text shown


def parquet_facts(path: Path, file: Any, limit: int, version: str | None) -> FoundTable | FoundDataset:
    """A dataset: counts from its `source` and `lang` columns, and the first documents."""
    schema = file.schema_arrow
    first = _shortened(_first_groups(file, limit))
    if "id" not in schema.names or "source" not in schema.names:
        return FoundTable(
            path=str(path),
            rows=file.metadata.num_rows,
            parts=file.num_row_groups,
            columns=_columns(schema),
            first_rows=first,
            version=version,
        )
    counted = [name for name in ("source", "lang", "license") if name in schema.names]
    tallies: dict[str, Counter[str]] = {name: Counter() for name in counted}
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=counted, use_threads=False)
        for name in counted:
            _count(tallies[name], table.column(name))
    return FoundDataset(
        path=str(path),
        bytes=path.stat().st_size,
        rows=file.metadata.num_rows,
        parts=file.num_row_groups,
        text_bytes=_text_bytes(file),
        columns=_columns(schema),
        scores=tuple(name for name in schema.names if name not in SCHEMA.names and "." in name),
        counts={name: _common(tally) for name, tally in tallies.items()},
        first_rows=first,
        version=version,
    )


def _text_bytes(file: Any) -> int:
    total = 0
    for group in range(file.num_row_groups):
        row_group = file.metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if column.path_in_schema == "text":
                total += column.total_uncompressed_size
    return total


def encoded_facts(path: Path, limit: int, version: str | None) -> FoundEncoded:
    """Encoded documents: counts, token totals by source, and the first documents without their tokens."""
    documents: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    fim = rows = 0
    first: list[Row] = []
    for batch in arrow_batches(path, None):
        lengths = pc.list_value_length(batch.column("tokens"))
        table = pa.table({"source": batch.column("source"), "tokens": lengths})
        sums = table.group_by("source", use_threads=False).aggregate([("tokens", "sum"), ("tokens", "count")])
        for source, of_source, count in _rows_of(sums, "source", "tokens_sum", "tokens_count"):
            documents[source] += count
            tokens[source] += of_source
        fim += pc.sum(batch.column("fim")).as_py() or 0
        rows += batch.num_rows
        for at in range(min(batch.num_rows, limit - len(first))):
            names = [name for name in batch.schema.names if name != "tokens"]
            row = batch.slice(at, 1).select(names).to_pylist()[0]
            first.append({**row, "tokens": lengths[at].as_py()})
    return FoundEncoded(
        path=str(path),
        bytes=path.stat().st_size,
        rows=rows,
        fim_documents=fim,
        sources={name: EncodedSource(documents[name], tokens[name]) for name in sorted(documents)},
        first_rows=_shortened(first),
        version=version,
    )


def removed_facts(path: Path, limit: int, version: str | None) -> FoundRemoved:
    """Removed documents: documents and bytes by stage, kind and reason, and the first with an excerpt."""
    documents: Counter[tuple[str, str, str]] = Counter()
    sizes: Counter[tuple[str, str, str]] = Counter()
    first: list[Row] = []
    spare: list[Row] = []
    rows = 0
    keys = ["stage", "kind", "reason"]
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        grouped = pa.Table.from_batches([batch.select([*keys, "bytes"])]).group_by(keys, use_threads=False)
        sums = grouped.aggregate([("bytes", "sum"), ("bytes", "count")])
        for stage, kind, reason, size, count in _rows_of(sums, *keys, "bytes_sum", "bytes_count"):
            documents[stage, kind, reason] += count
            sizes[stage, kind, reason] += size
        with_excerpt = pc.indices_nonzero(batch.column("excerpt").is_valid())
        first += batch.take(with_excerpt[: max(0, limit - len(first))]).to_pylist()
        spare += batch.slice(0, max(0, limit - len(spare))).to_pylist()
    return FoundRemoved(
        path=str(path),
        rows=rows,
        reasons=tuple(RemovedReason(*key, count, sizes[key]) for key, count in sorted(documents.items())),
        first_rows=tuple(RemovedRow(**row) for row in _shortened(first or spare)),
        version=version,
    )


def cut_facts(path: Path, limit: int, version: str | None) -> FoundCuts:
    """Parts cut from documents: spans and bytes by stage and reason, and the first with an excerpt."""
    spans: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    first: list[Row] = []
    rows = 0
    keys = ["stage", "reason"]
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        lengths = pc.subtract(batch.column("end"), batch.column("start")).cast(pa.int64())
        table = pa.Table.from_batches([batch.select(keys)]).append_column("bytes", lengths)
        sums = table.group_by(keys, use_threads=False).aggregate([("bytes", "sum"), ("bytes", "count")])
        for stage, reason, size, count in _rows_of(sums, *keys, "bytes_sum", "bytes_count"):
            spans[stage, reason] += count
            sizes[stage, reason] += size
        with_excerpt = pc.indices_nonzero(batch.column("excerpt").is_valid())
        first += batch.take(with_excerpt[: max(0, limit - len(first))]).to_pylist()
    return FoundCuts(
        path=str(path),
        rows=rows,
        reasons=tuple(CutReason(*key, count, sizes[key]) for key, count in sorted(spans.items())),
        first_rows=tuple(CutRow(**row) for row in _shortened(first)),
        version=version,
    )


def pair_facts(path: Path, limit: int, version: str | None) -> FoundPairs:
    """Pairs of duplicates: counts by reason and by tenth of similarity, and the first pairs."""
    reasons: Counter[str] = Counter()
    tenths: Counter[int] = Counter()
    first: list[Row] = []
    rows = 0
    for packed in arrow_batches(path, None):
        batch = unpacked(pa.Table.from_batches([packed]))
        rows += batch.num_rows
        _count(reasons, batch.column("reason"))
        for value in batch.column("similarity").to_numpy():
            tenths[min(9, int(value * 10))] += 1
        first += batch.slice(0, max(0, limit - len(first))).to_pylist()
    return FoundPairs(
        path=str(path),
        rows=rows,
        reasons=_common(reasons),
        similarity={f"{tenth / 10:.1f}": n for tenth, n in sorted(tenths.items())},
        first_rows=tuple(PairRow(**row) for row in first),
        version=version,
    )


def arrow_facts(path: Path, limit: int, version: str | None) -> FoundTable:
    """Any other Arrow file: schema, rows, and the first rows shortened."""
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        schema, batches = reader.schema, reader.num_record_batches
    rows = 0
    first: list[Row] = []
    for batch in arrow_batches(path, None):
        rows += batch.num_rows
        first += batch.slice(0, max(0, limit - len(first))).to_pylist()
    return FoundTable(
        path=str(path),
        rows=rows,
        parts=batches,
        columns=_columns(schema),
        first_rows=_shortened(first),
        version=version,
    )


def _rows_of(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of these columns, in their order."""
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def _columns(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _count(into: Counter[str], column: pa.Array | pa.ChunkedArray) -> None:
    counts = pc.value_counts(column)
    values, times = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
    for value, count in zip(values, times, strict=True):
        into[str(value) if value is not None else "(unknown)"] += count


def _common(tally: Counter[str], most: int = 20) -> dict[str, int]:
    """The commonest values; what is not shown is added up, so that nothing seems missing."""
    shown = sorted(tally.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in shown[most:])
    return {**dict(shown[:most]), **({"(others)": rest} if rest else {})}


def _first_groups(file: Any, limit: int) -> list[Row]:
    rows: list[Row] = []
    for group in range(file.num_row_groups):
        if len(rows) >= limit:
            break
        names = [name for name in file.schema_arrow.names if name != "raw"]
        table = file.read_row_group(group, columns=names, use_threads=False)
        rows += table.slice(0, limit - len(rows)).to_pylist()
    return rows


def _shortened(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows fit to be shown and to be JSON: long texts cut, bytes as hex."""
    return tuple({name: _short(value) for name, value in row.items()} for row in rows)


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
