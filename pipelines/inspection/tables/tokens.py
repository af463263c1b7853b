"""The tables of tokens: `tokens`, of documents once encoded, and `pieces`, of what stands in shards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.given import ENCODED, SHARDS
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.inspection.shard_files import metadata
from corpusmill.pipelines.inspection.tables.table import Column, Table
from corpusmill.pipelines.storage.datasets import read_unit
from corpusmill.pipelines.storage.hex_ids import as_digits

_TOKENS = (
    Column("id", pa.string(), "the document's id"),
    Column("source", pa.string(), "the recipe's source"),
    Column("domain", pa.string(), "web, code, math or what the source says"),
    Column("lang", pa.string(), "language, where it was known"),
    Column("bytes", pa.int64(), "UTF-8 bytes of its text"),
    Column("tokens", pa.int64(), "its tokens, control tokens included"),
    Column("fim", pa.bool_(), "whether it is framed for fill-in-the-middle"),
    Column("held_out", pa.bool_(), "whether no model is trained on it"),
)
_PIECES = (
    Column("shard", pa.string(), "file of the shard"),
    Column("split", pa.string(), "`train` or `held_out`"),
    Column("row", pa.int64(), "row of the shard"),
    Column("start", pa.int64(), "first token of the piece in its row"),
    Column("tokens", pa.int64(), "tokens of the piece"),
    Column("id", pa.string(), "the document's id"),
    Column("source", pa.string(), "the recipe's source"),
    Column("offset", pa.int64(), "where in the document's tokens the piece begins"),
    Column("epoch", pa.int64(), "which copy of the document, from 0"),
    Column("fim", pa.bool_(), "whether it is framed for fill-in-the-middle"),
)


def tokens_table(record: RunRecord) -> Table | None:
    """Documents with their tokens, before the mixture; None where the run has not encoded."""
    step = record.complete_giving(ENCODED)
    if step is None:
        return None
    return Table(
        "tokens", "documents as tokens, before the mixture", _TOKENS, lambda names: _encoded(step, names)
    )


def _encoded(step: StepRecord, names: frozenset[str]) -> Iterator[pa.Table]:
    stored = [column.name for column in _TOKENS if column.name in names]
    for unit in step.units:
        if not unit.rows:  # an empty unit has the columns of documents
            continue
        for table in read_unit(step.data, unit.unit, stored):
            if "tokens" in names:
                lengths = pc.cast(pc.fill_null(pc.list_value_length(table.column("tokens")), 0), pa.int64())
                table = table.set_column(table.column_names.index("tokens"), "tokens", lengths)
            yield table


def pieces_table(record: RunRecord) -> Table | None:
    """Pieces of documents in the rows of shards: what is trained on, copies included; None before packing."""
    step = record.complete_giving(SHARDS)
    if step is None:
        return None

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        for unit in step.units:
            for file in sorted(file.name for file in unit.files if file.name.endswith(".arrow")):
                yield from _pieces(step, file)

    return Table("pieces", "pieces of documents in the shards, after the mixture", _PIECES, read)


def _pieces(step: StepRecord, name: str) -> Iterator[pa.Table]:
    path = step.data.file(name)
    about = metadata(path)
    if "split" not in about:
        return
    sources = pa.array(about["sources"], pa.string())
    first = 0
    for batch in arrow_batches(path, ["pieces"]):
        column = batch.column(0)
        flat = pa.Table.from_struct_array(column.flatten())
        rows = np.repeat(np.arange(first, first + len(column)), np.diff(column.offsets.to_numpy()))
        first += len(column)
        n = flat.num_rows
        ids = pc.cast(flat.column("document").combine_chunks(), pa.binary(16))
        yield pa.table(
            {
                "shard": pa.repeat(pa.scalar(name, pa.string()), n),
                "split": pa.repeat(pa.scalar(about["split"], pa.string()), n),
                "row": pa.array(rows, pa.int64()),
                "start": flat.column("start"),
                "tokens": flat.column("length"),
                "id": as_digits(ids),
                "source": sources.take(flat.column("source").combine_chunks()),
                "offset": flat.column("offset"),
                "epoch": flat.column("epoch"),
                "fim": flat.column("fim"),
            }
        )
