"""The table `scores`: what filters measured of every document that came to them, kept or removed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.scored import Chain, chain_of, score_fields, scored, scoring
from corpusmill.pipelines.inspection.tables.table import Column, Table
from corpusmill.pipelines.storage.datasets import unit_file

_FIXED = (
    Column("id", pa.string(), "the document's id"),
    Column("source", pa.string(), "the recipe's source"),
    Column("lang", pa.string(), "language, where it was known"),
    Column("bytes", pa.int64(), "bytes of its text where it left, or as its dataset has it"),
    Column("kept", pa.bool_(), "whether no step removed it"),
    Column("stage", pa.string(), "the stage that removed it, null of what is kept"),
    Column("reason", pa.string(), "why"),
)


def scores_table(record: RunRecord) -> Table:
    """A row a document with a column a score, `<stage>_<score>`; null where the document never came there."""
    chains = [chain_of(record, source) for source in record.sources if source.whole]
    stages = list(dict.fromkeys(stage for chain in chains for stage in scoring(chain)))
    fields: dict[str, pa.Field] = {}
    for chain in chains:
        for found in score_fields(record, chain, stages).values():
            for field in found or ():
                fields.setdefault(field.name, field)
    made = tuple(
        Column(name.replace(".", "_"), field.type, f"score {name}") for name, field in sorted(fields.items())
    )
    columns = (*_FIXED, *(column for column in made if column.name not in {one.name for one in _FIXED}))

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        wanted = [name for name in fields if name.replace(".", "_") in names]
        asked = list(dict.fromkeys(name.split(".", 1)[0] for name in wanted))
        for chain in chains:
            if chain.left_out is not None:
                unit_file(chain.source.last.data, 0)  # raises NotKeptError with the cure
            for unit in scored(record, chain, [stage for stage in asked if chain.named(stage)], 0):
                yield _columns(chain, unit.table, fields, wanted)

    return Table("scores", "scores of all documents that came to a filter", columns, read)


def _columns(chain: Chain, table: pa.Table, fields: dict[str, pa.Field], wanted: list[str]) -> pa.Table:
    n = table.num_rows
    left = np.asarray(table.column("left").to_numpy(), np.int64)
    names = np.array([link.name for link in chain.links] + [None], object)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "id": table.column("id"),
        "source": pa.repeat(pa.scalar(chain.source.name, pa.string()), n),
        "lang": table.column("lang"),
        "bytes": table.column("bytes"),
        "kept": pa.array(left == chain.kept),
        "stage": pa.array(names[left].tolist(), pa.string()),
        "reason": table.column("reason"),
    }
    for name in wanted:
        there = name in table.column_names
        found = table.column(name) if there else pa.nulls(n, fields[name].type)
        columns[name.replace(".", "_")] = found.cast(fields[name].type)
    return pa.table(columns)
