"""Pairs and removals as files hold them: documents once, and pairs by the numbers of two of them.

A record batch is one row of lists. `unit`, `row`, `id`, `source` and `bytes` are of the documents that its
pairs name, by address; `worse` and `better`, numbers of documents, `reason` and `similarity` are of the
pairs, sorted by `worse`. Most of a pair is ids, hashes of 16 bytes that nothing compresses: one a document,
not two a pair. `unit`, `row` and `worse` are differences from the value before (modulo 2^32), most of which
are small. Sources and reasons are numbers of `names`, so that a batch can be read alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.storage.hex_ids import as_bytes, as_digits

_LISTS = {
    "unit": pa.uint32(),
    "row": pa.uint32(),
    "id": pa.binary(16),
    "source": pa.uint32(),
    "bytes": pa.int64(),
    "worse": pa.uint32(),
    "better": pa.uint32(),
    "reason": pa.uint32(),
    "similarity": pa.float64(),
    "names": pa.string(),
}
PACKED = pa.schema([pa.field(name, pa.large_list(kind), nullable=False) for name, kind in _LISTS.items()])


def packed(found: pa.Table) -> pa.RecordBatch:
    """`DUPLICATES` rows, sorted by address, as a batch of a file of the schema `PACKED`."""
    named = [contiguous(found.column(name)) for name in ("source", "reason", "survivor_source")]
    names = pa.array(
        sorted({name for column in named for name in pc.unique(column).to_pylist()}), pa.string()
    )
    columns, worse, better = _numbered(found, names)
    steps = {"unit": columns["unit"], "row": columns["row"], "worse": worse}
    columns |= {name: pa.array(_steps(values)) for name, values in steps.items()}
    columns["better"] = pa.array(better)
    columns["reason"] = pc.index_in(named[1], names).cast(pa.uint32())
    columns["similarity"] = contiguous(found.column("similarity"))
    columns["names"] = names
    lists = [
        pa.LargeListArray.from_arrays(pa.array([0, len(columns[name])], pa.int64()), columns[name])
        for name in PACKED.names
    ]
    return pa.RecordBatch.from_arrays(lists, schema=PACKED)


def unpacked(rows: pa.Table, units: range | None = None) -> pa.Table:
    """Batches of a file of pairs as `DUPLICATES`, as they were; of another file as they are. `units`: the
    rows of these alone."""
    if rows.schema.equals(PACKED):
        tables = [_pairs(row, units) for batch in rows.to_batches() for row in _rows(batch)]
        return pa.concat_tables([DUPLICATES.empty_table(), *tables])
    return rows if units is None else rows.filter(pa.array(_among(rows.column("unit").to_numpy(), units)))


def units_of(rows: pa.Table) -> npt.NDArray[np.uint32]:
    """The unit of each row that `unpacked` gives, uint32[n]."""
    if not rows.schema.equals(PACKED):
        return np.asarray(rows.column("unit").to_numpy(), np.uint32)
    found = [
        _summed(row["unit"])[_summed(row["worse"])] for batch in rows.to_batches() for row in _rows(batch)
    ]
    return np.concatenate([np.zeros(0, np.uint32), *found])


def _numbered(
    found: pa.Table, names: pa.Array
) -> tuple[dict[str, pa.Array], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The documents of pairs by address, and the numbers of the worse and of the better one of each pair.

    What a stage tells differently of one document from pair to pair is kept: it is as many documents.
    """

    def ends(name: str) -> list[pa.Array]:
        return [contiguous(found.column(f"{prefix}{name}")) for prefix in ("", "survivor_")]

    facts: dict[str, pa.Array] = {name: pa.concat_arrays(ends(name)) for name in ("unit", "row", "bytes")}
    facts["id"] = pa.concat_arrays([as_bytes(one) for one in ends("id")])
    facts["source"] = pa.concat_arrays([pc.index_in(one, names).cast(pa.uint32()) for one in ends("source")])
    halves = np.frombuffer(facts["id"].buffers()[1], np.uint64, 2 * len(facts["id"])).reshape(-1, 2)
    values = [facts[name].to_numpy() for name in ("unit", "row", "bytes", "source")]
    values += [halves[:, 0], halves[:, 1]]
    by = np.lexsort((values[1], values[0]))
    new = np.ones(len(by), bool)
    new[1:] = np.logical_or.reduce([(ordered := column[by])[1:] != ordered[:-1] for column in values])
    number = np.empty(len(by), np.uint32)
    number[by] = np.cumsum(new) - 1
    chosen = pa.array(by[new])
    documents = {name: column.take(chosen) for name, column in facts.items()}
    return documents, number[: found.num_rows], number[found.num_rows :]


def _pairs(row: dict[str, pa.Array], units: range | None) -> pa.Table:
    """`DUPLICATES` of one batch, of these units or all."""
    texts = row["names"]
    documents = {name: pa.array(_summed(row[name])) for name in ("unit", "row")}
    of = {"reason": row["reason"], "similarity": row["similarity"], "": pa.array(_summed(row["worse"]))}
    of["survivor_"] = row["better"]
    if units is not None:
        chosen = pa.array(_among(documents["unit"].to_numpy()[of[""].to_numpy()], units))
        of = {name: values.filter(chosen) for name, values in of.items()}
    documents |= {"id": as_digits(row["id"]), "source": texts.take(row["source"]), "bytes": row["bytes"]}
    columns = {"reason": texts.take(of["reason"]), "similarity": of["similarity"]}
    for prefix in ("", "survivor_"):
        columns |= {f"{prefix}{name}": values.take(of[prefix]) for name, values in documents.items()}
    return pa.table([columns[field.name] for field in DUPLICATES], schema=DUPLICATES)


def _among(unit: npt.NDArray[np.uint32], units: range) -> npt.NDArray[np.bool_]:
    return (unit >= units.start) & (unit < units.stop)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, pa.Array]]:
    for place in range(batch.num_rows):
        yield {name: batch.column(name)[place].values for name in batch.schema.names}


def _steps(values: pa.Array | npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Differences from the value before, modulo 2^32."""
    numbers = np.asarray(values, np.uint32)
    return numbers - np.append(np.zeros(1, np.uint32), numbers)[:-1]


def _summed(steps: pa.Array) -> npt.NDArray[np.uint32]:
    return np.cumsum(steps.to_numpy(), dtype=np.uint32)
