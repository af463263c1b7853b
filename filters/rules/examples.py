"""Examples of one side: which documents are chosen, by draws of their ids, and what of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import xxhash

from corpusmill.pipelines.contract.documents import Documents, buffers
from corpusmill.pipelines.contract.randomness import draws

EXAMPLES = pa.schema(
    [
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("lang", pa.string()),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
FILE = "examples.arrow"
PURPOSE = "examples of quality"


def examples_of(docs: Documents, sources: Sequence[str] | None, seed: int, most_bytes: int) -> pa.Table:
    """The documents of these sources (null: all) as `EXAMPLES`, their texts cut to `most_bytes` at a
    character; without those that have no text."""
    wanted = pc.greater(pc.fill_null(pc.binary_length(docs.text), 0), 0)
    if sources is not None:
        source = docs.column("source").cast(pa.string())
        wanted = pc.and_(wanted, pc.is_in(source, pa.array(sources, pa.string())))
    rows = Documents(docs.table.select(["id", "lang", "text"]).filter(wanted))
    ids = rows.column("id").cast(pa.string())
    drawn = pa.array(draws(ids, seed, PURPOSE), pa.uint64())
    columns = [drawn, ids, rows.column("lang").cast(pa.string()), cut_texts(rows.text, most_bytes)]
    return pa.table(columns, schema=EXAMPLES)


def cut_texts(texts: pa.Array, most: int) -> pa.Array:
    """The first `most` bytes of each text, or fewer by what of a character would be left."""
    if len(texts) == 0:
        return texts
    offsets, data = buffers(texts)
    if int(np.diff(offsets).max()) <= most:
        return texts
    found = []
    for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        found.append(data[first : min(last, first + most)].tobytes().decode("utf-8", "ignore"))
    return pa.array(found, pa.large_string())


def fewest_draws(parts: Sequence[pa.Table], most: int) -> pa.Table:
    """The `most` rows of smallest draw, ordered by draw and id."""
    rows = pa.concat_tables(parts) if parts else EXAMPLES.empty_table()
    keys = rows.select(["draw", "id"])
    order = pc.sort_indices(keys, [("draw", "ascending"), ("id", "ascending")])
    return rows.take(order.slice(0, most)).combine_chunks()


def write_examples(rows: pa.Table, folder: Path) -> dict[str, int]:
    """Write examples.arrow; how many examples and bytes of text it holds."""
    write_table(rows, folder / FILE)
    return {"examples": rows.num_rows, "bytes": pc.sum(pc.binary_length(rows.column("text"))).as_py() or 0}


def write_table(rows: pa.Table, path: Path) -> None:
    """Write rows of `EXAMPLES` as one Arrow file."""
    with ipc.new_file(str(path), EXAMPLES) as file:
        file.write_table(rows)


def read_examples(path: Path) -> pa.Table:
    """What `write_examples` or `write_table` wrote, mapped, not read."""
    with pa.memory_map(str(path)) as source:
        return ipc.open_file(source).read_all()


def joined(positives: Path, negatives: Path) -> pa.Table:
    """Both sides' files as one table with the column `positive`: each text once, by side, draw and id.

    A text that stands on both sides is left out.
    """
    tables = []
    for path, positive in ((positives, True), (negatives, False)):
        rows = read_examples(path)
        tables.append(rows.append_column("positive", pa.array(np.full(rows.num_rows, positive))))
    return _distinct(pa.concat_tables(tables).combine_chunks())


def _distinct(rows: pa.Table) -> pa.Table:
    """Each text once, the first of its side; those that stand on both sides are left out."""
    offsets, data = buffers(Documents(rows).text)
    digests = [
        xxhash.xxh3_128_digest(data[first:last].tobytes())
        for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    sides: dict[bytes, set[bool]] = {}
    for digest, positive in zip(digests, rows.column("positive").to_pylist(), strict=True):
        sides.setdefault(digest, set()).add(positive)
    kept: npt.NDArray[np.bool_] = np.zeros(len(digests), np.bool_)
    seen: set[bytes] = set()
    for row, digest in enumerate(digests):
        kept[row] = len(sides[digest]) == 1 and digest not in seen
        seen.add(digest)
    return rows.filter(pa.array(kept))
