"""The training sample: the documents of smallest draw that make up a budget of bytes.

Sort all documents by `(draw, id)` and keep each that has less than the budget before it; so the last one
kept may run over. That is the same set however the documents are divided and merged: a document kept of
the whole is kept of its part, where no more stands before it; and all that are kept of the whole, a budget's
worth, reach every merge and stand before any other. (Stopping short of the budget instead would not
do: once a part has dropped the document that ran over, a smaller one behind it would fit.) So partial samples
combine in any order, and memory is bounded by the budget and one document.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.documents import Documents, buffers
from corpusmill.pipelines.randomness import draws

SAMPLE = pa.schema(
    [
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
_LARGEST = np.uint64(2**64 - 1)


def smallest(table: pa.Table, budget: int) -> tuple[pa.Table, np.uint64]:
    """Rows of `table` (SAMPLE) with less than `budget` bytes before them, sorted, and the cut.

    No row of a larger draw than the cut can be in any sample that this table is a part of.
    """
    table = table.sort_by([("draw", "ascending"), ("id", "ascending")]).combine_chunks()
    sizes = np.diff(buffers(Documents(table).text)[0])
    kept = int(np.searchsorted(np.cumsum(sizes) - sizes, budget, side="left"))
    cut = _LARGEST if kept == table.num_rows else np.uint64(table.column("draw")[kept].as_py())
    return table.slice(0, kept), cut


def sample(batches: Iterator[Documents], seed: int, budget: int, longest: int) -> pa.Table:
    """SAMPLE rows of one unit; of a text longer than `longest` bytes only the beginning is kept."""
    kept, cut = SAMPLE.empty_table(), _LARGEST
    waiting: list[pa.Table] = []
    waiting_bytes = 0
    for docs in batches:
        table = _rows(docs, seed, longest)
        table = table.filter(pa.array(table.column("draw").to_numpy() <= cut))
        waiting.append(table)
        waiting_bytes += table.nbytes
        if waiting_bytes > max(budget // 4, 2**22):
            kept, cut = smallest(pa.concat_tables([kept, *waiting]), budget)
            waiting, waiting_bytes = [], 0
    return smallest(pa.concat_tables([kept, *waiting]), budget)[0]


def _rows(docs: Documents, seed: int, longest: int) -> pa.Table:
    ids = docs.column("id")
    drawn = pa.array(draws(ids, seed, "train_bpe"), pa.uint64())
    texts = _beginnings(docs.text, longest)
    return pa.Table.from_arrays([drawn, ids, docs.column("source").cast(pa.string()), texts], schema=SAMPLE)


def _beginnings(texts: pa.Array, longest: int) -> pa.Array:
    """`texts` with each cut, at a character, to at most `longest` bytes; null becomes empty."""
    import pyarrow.compute as pc

    texts = texts.fill_null("") if texts.null_count else texts
    long = np.diff(buffers(texts)[0]) > longest
    if not long.any():
        return texts
    mask = pa.array(long)
    cut = [
        text.as_buffer()[:longest].to_pybytes().decode("utf-8", "ignore") for text in pc.filter(texts, mask)
    ]
    return pc.replace_with_mask(texts, mask, pa.array(cut, pa.large_string()))
