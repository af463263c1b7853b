"""Tokens of each cell by the draw of their documents: what a mixture is planned from, and selected by.

A document falls into one of `BINS` bins by the upper bits of a seeded draw of its id, so the documents of
bins below a threshold are a random part of their cell whose exact size the histogram knows. A document may
have other tokens in other views (`contract.encoded_views`); each view is counted by itself, in the same bins.

Only bins that hold documents are rows, and where these would be more than `MOST_ROWS`, bins are joined two by
two, of all cells alike, until they are not: so memory is bounded by `MOST_ROWS`, about 200 MB, whatever the
number of cells and documents. How often they are joined follows from all documents together, in whatever
order partial histograms are added. What is drawn does not depend on it: within a bin documents are told apart
by their draws (`selection`); of fewer bins each holds more documents that are looked at one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.mixtures.plan.cells import Cells, Values
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import token_counts, view_count
from corpusmill.pipelines.contract.randomness import draws

BINS = 65_536
MOST_ROWS = 2**21
HISTOGRAM = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("view", pa.uint16(), nullable=False),
        pa.field("bin", pa.uint32(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
MEASURES = ("tokens", "documents", "bytes")
KEYS = ("cell", "held_out", "view", "bin")
Ints = npt.NDArray[np.int64]
_JOINED = b"bins"  # of the schema's metadata: how many bins there are still
_PART_ROWS = 2**18  # rows of batches that are added up together


@dataclass(frozen=True)
class CellSums:
    """Sums of one cell in the k bins that hold documents: `bins` int64[k], ascending, `tokens` int64[V, k] by
    view, `documents` and `bytes` int64[k]."""

    bins: Ints
    tokens: Ints
    documents: Ints
    bytes: Ints

    @property
    def totals(self) -> tuple[int, int, int]:
        """Tokens in view 0, documents and bytes of all bins."""
        return int(self.tokens[0].sum()), int(self.documents.sum()), int(self.bytes.sum())


_EMPTY = np.zeros(0, np.int64)
NOTHING = CellSums(_EMPTY, np.zeros((1, 0), np.int64), _EMPTY, _EMPTY)


def held_out(docs: Documents) -> npt.NDArray[np.bool_]:
    """Which of the encoded documents are held out, bool[n]."""
    return np.asarray(docs.column("held_out").to_numpy(zero_copy_only=False), np.bool_)


def bins_of_draws(drawn: npt.NDArray[np.uint64], bins: int = BINS) -> Ints:
    """The bin of each draw, int64[n] in 0..bins-1 (a power of two): its upper bits."""
    if bins == 1:
        return np.zeros(len(drawn), np.int64)
    return (drawn >> np.uint64(65 - bins.bit_length())).astype(np.int64)


def histogram(batches: Iterator[Documents], seed: int, cells: Cells) -> pa.Table:
    """HISTOGRAM of encoded documents (columns id, held_out, bytes, tokens, perhaps views, and those of
    `cells`). Time: linear in the documents. Memory: MOST_ROWS rows, and those of a batch."""
    parts: list[pa.Table] = []
    for docs in batches:
        if len(docs):
            parts += _of_batch(docs, seed, cells)
        if sum(part.num_rows for part in parts) > _PART_ROWS:
            parts = [add(parts)]
    return add(parts)


def _of_batch(docs: Documents, seed: int, cells: Cells) -> list[pa.Table]:
    codes, values = cells.find(docs)
    names = pa.array([cell_key(one) for one in values], pa.string())
    cell = names.take(pa.array(codes))
    bins = bins_of_draws(draws(docs.column("id"), seed, "mixture")).astype(np.uint32)
    count = len(docs)
    return [
        pa.Table.from_arrays(
            [
                cell,
                pa.array(held_out(docs)),
                pa.array(np.full(count, view, np.uint16)),
                pa.array(bins),
                pa.array(token_counts(docs, view)),
                pa.array(np.ones(count, np.int64)),
                docs.column("bytes"),
            ],
            schema=HISTOGRAM,
        )
        for view in range(view_count(docs) or 1)
    ]


def cell_key(values: Values) -> str:
    """What a cell is called in a HISTOGRAM."""
    return json.dumps(values, ensure_ascii=False)


def add(parts: Sequence[pa.Table]) -> pa.Table:
    """The HISTOGRAM of several, sorted by its keys, with as many bins as MOST_ROWS allows."""
    bins = min((bins_of(part) for part in parts), default=BINS)
    plain = [_joined(part, bins) for part in parts]
    table = _added(pa.concat_tables([HISTOGRAM.empty_table(), *plain]))
    while table.num_rows > MOST_ROWS and bins > 1:
        table, bins = _added(_halved(table, 1)), bins // 2
    order = [(name, "ascending") for name in KEYS]
    return table.sort_by(order).replace_schema_metadata({_JOINED: str(bins)})


def bins_of(table: pa.Table) -> int:
    """How many bins the draws are divided into in a HISTOGRAM."""
    return int((table.schema.metadata or {}).get(_JOINED, BINS))


def _joined(table: pa.Table, bins: int) -> pa.Table:
    shift = bins_of(table).bit_length() - bins.bit_length()
    return _halved(table.replace_schema_metadata(None), shift)


def _halved(table: pa.Table, times: int) -> pa.Table:
    halved = pa.array(table.column("bin").to_numpy() >> np.uint32(times))
    return table.set_column(KEYS.index("bin"), HISTOGRAM.field("bin"), halved)


def _added(table: pa.Table) -> pa.Table:
    summed = table.group_by(list(KEYS), use_threads=False).aggregate([(one, "sum") for one in MEASURES])
    columns = [summed.column(name) for name in KEYS]
    columns += [summed.column(f"{measure}_sum") for measure in MEASURES]
    return pa.Table.from_arrays(columns, schema=HISTOGRAM)


def by_cell(table: pa.Table, *, apart: bool = False) -> dict[Values, CellSums]:
    """The sums of a HISTOGRAM by cell, of documents held out (`apart`) or of the others. Every cell of the
    table is there, if with nothing. Memory: the table's numbers twice."""
    keys = table.column("cell").combine_chunks().dictionary_encode()
    mine = table.column("held_out").to_numpy() == apart
    codes, views = keys.indices.to_numpy()[mine], table.column("view").to_numpy()[mine]
    bins = table.column("bin").to_numpy()[mine].astype(np.int64)
    sums = [table.column(measure).to_numpy()[mine] for measure in MEASURES]
    order = np.lexsort((bins, views, codes))
    codes, bins, sums = codes[order], bins[order], [values[order] for values in sums]
    count = max([0, *table.column("view").unique().to_pylist()]) + 1
    ends = np.searchsorted(codes, np.arange(len(keys.dictionary) + 1)).tolist()

    def sums_between(start: int, end: int) -> CellSums:
        tokens = sums[0][start:end].reshape(count, -1)  # every view has the same bins
        some = slice(start, start + tokens.shape[1])
        return CellSums(bins[some], tokens, sums[1][some], sums[2][some])

    return {
        tuple(json.loads(key)): sums_between(start, end)
        for key, (start, end) in zip(keys.dictionary.to_pylist(), pairwise(ends), strict=True)
    }


def total_of(sums: Mapping[Values, CellSums], values: Values) -> tuple[int, int, int]:
    """Tokens, documents and bytes of a cell; none where it has no sums."""
    return sums.get(values, NOTHING).totals
