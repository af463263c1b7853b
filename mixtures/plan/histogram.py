"""Tokens of each source by the draw of their documents: what a mixture is planned from, and selected by.

A document falls into one of `BINS` bins by the upper bits of a seeded draw of its id, so the documents of
bins below a threshold are a random part of their source whose exact size the histogram knows. A document may
have other tokens in other views (`contract.encoded_views`); each view is counted by itself, in the same bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import token_counts, view_count
from corpusmill.pipelines.contract.randomness import draws

BINS = 65_536
HISTOGRAM = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("view", pa.uint16(), nullable=False),
        pa.field("bin", pa.uint32(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
MEASURES = ("tokens", "documents", "bytes")


def bins_of(ids: pa.Array | Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """The bin of each document, int64[n] in 0..BINS-1."""
    return bins_of_draws(draws(ids, seed, "mixture"))


def bins_of_draws(drawn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The bin of each draw, int64[n] in 0..BINS-1: its upper bits."""
    return (drawn >> np.uint64(48)).astype(np.int64)


def held_out(docs: Documents) -> npt.NDArray[np.bool_]:
    """Which of the encoded documents are held out, bool[n]."""
    return np.asarray(docs.column("held_out").to_numpy(zero_copy_only=False), np.bool_)


def histogram(batches: Iterator[Documents], seed: int) -> pa.Table:
    """HISTOGRAM of encoded documents (columns id, source, held_out, bytes, tokens, perhaps views)."""
    sums: dict[tuple[str, bool, int], npt.NDArray[np.int64]] = {}
    for docs in batches:
        if len(docs) == 0:
            continue
        bins = bins_of(docs.column("id"), seed)
        is_held_out = held_out(docs)
        others = (np.ones(len(docs), np.int64), docs.column("bytes").to_numpy())
        tokens_V = [token_counts(docs, view) for view in range(view_count(docs) or 1)]
        sources = docs.column("source").cast(pa.string()).dictionary_encode()
        codes = sources.indices.to_numpy()
        for code, source in enumerate(sources.dictionary.to_pylist()):
            for side in (False, True):
                mine = (codes == code) & (is_held_out == side)
                if side and not mine.any():
                    continue
                for view, tokens in enumerate(tokens_V):
                    sum_MB = sums.setdefault((source, side, view), np.zeros((len(MEASURES), BINS), np.int64))
                    for measure, value in enumerate((tokens, *others)):
                        np.add.at(sum_MB[measure], bins[mine], value[mine])
    parts = [_rows(key, sum_MB) for key, sum_MB in sorted(sums.items())]
    return pa.concat_tables([HISTOGRAM.empty_table(), *parts])


def _rows(key: tuple[str, bool, int], sum_MB: npt.NDArray[np.int64]) -> pa.Table:
    filled = np.flatnonzero(sum_MB[1])
    n = len(filled)
    columns = [pa.array([value] * n, HISTOGRAM.field(at).type) for at, value in enumerate(key)]
    columns.append(pa.array(filled.astype(np.uint32)))
    return pa.Table.from_arrays([*columns, *(pa.array(row[filled]) for row in sum_MB)], schema=HISTOGRAM)


def add(parts: Sequence[pa.Table]) -> pa.Table:
    """The HISTOGRAM of several, sorted by (source, held_out, view, bin)."""
    names = ["source", "held_out", "view", "bin"]
    table = pa.concat_tables(parts).group_by(names, use_threads=False)
    summed = table.aggregate([(measure, "sum") for measure in MEASURES])
    columns = [summed.column(name) for name in names]
    columns += [summed.column(f"{measure}_sum") for measure in MEASURES]
    order = [(name, "ascending") for name in names]
    return pa.Table.from_arrays(columns, schema=HISTOGRAM).sort_by(order)


def by_source(table: pa.Table, *, apart: bool = False, view: int = 0) -> dict[str, npt.NDArray[np.int64]]:
    """The sums of a HISTOGRAM as int64[measures, BINS] by source, of documents held out (`apart`) or of the
    others, in one view; measures in the order of MEASURES. Every source of the table is there, if with
    zeros."""
    sources = table.column("source").combine_chunks().dictionary_encode()
    codes, bins = sources.indices.to_numpy(), table.column("bin").to_numpy()
    mine = (table.column("held_out").to_numpy() == apart) & (table.column("view").to_numpy() == view)
    sum_SMB = np.zeros((len(sources.dictionary), len(MEASURES), BINS), np.int64)
    for measure, name in enumerate(MEASURES):
        np.add.at(sum_SMB, (codes[mine], measure, bins[mine]), table.column(name).to_numpy()[mine])
    return dict(zip(sources.dictionary.to_pylist(), sum_SMB, strict=True))
