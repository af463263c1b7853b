"""The documents of the bins that phases end in, and what of a document's copies comes before such an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.mixtures.plan.cells import Cells, Values
from corpusmill.mixtures.plan.histogram import bins_of_draws, cell_key, held_out
from corpusmill.mixtures.plan.selection import EDGE
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import token_counts, view_count
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.stage import ROW, UNIT
from corpusmill.pipelines.records.mixture_plan import Place

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Edges:
    """Bins, by cell, whose documents are looked at one by one; draws are divided into `bins`."""

    def __init__(self, cells: Cells, bins: int, wanted: Mapping[Values, set[int]]) -> None:
        self._cells, self._bins = cells, bins
        self._wanted = {cell: np.array(sorted(some), np.int64) for cell, some in wanted.items() if some}

    def among(self, docs: Documents, drawn: npt.NDArray[np.uint64]) -> Bools:
        """Which documents, of these draws, lie in such a bin of their cell and are not held out, bool[n]."""
        return self._find(docs, drawn)[0]

    def rows(self, batches: Iterator[Documents], seed: int) -> pa.Table:
        """EDGE rows of the encoded documents, addressed, that lie in such bins; those held out left out."""
        found = [EDGE.empty_table()]
        for docs in batches:
            if len(docs) == 0 or not self._wanted:
                continue
            drawn = draws(docs.column("id"), seed, "mixture")
            inside, codes, values, bins = self._find(docs, drawn)
            names = pa.array([cell_key(cell) for cell in values], pa.string())
            columns = {
                "cell": names.take(pa.array(codes)),
                "bin": pa.array(bins.astype(np.uint32)),
                "draw": pa.array(drawn),
                "id": docs.column("id"),
                "unit": docs.column(UNIT),
                "row": docs.column(ROW),
                "tokens": _by_view(docs),
                "bytes": docs.column("bytes"),
            }
            found.append(pa.table(columns, schema=EDGE).take(pa.array(np.flatnonzero(inside))))
        return pa.concat_tables(found)

    def _find(self, docs: Documents, drawn: npt.NDArray[np.uint64]) -> tuple[Bools, Ints, list[Values], Ints]:
        """Which documents lie in the bins, and their cells and bins."""
        codes, values = self._cells.find(docs)
        bins = bins_of_draws(drawn, self._bins)
        wanted = [
            code * self._bins + self._wanted[cell] for code, cell in enumerate(values) if cell in self._wanted
        ]
        among = np.concatenate([np.zeros(0, np.int64), *wanted])
        inside: Bools = np.isin(codes * self._bins + bins, among) & ~held_out(docs)
        return inside, codes, values, bins


def _by_view(docs: Documents) -> pa.Array:
    """Tokens of each document by view, list<int64>[n]."""
    counts = np.stack([token_counts(docs, view) for view in range(view_count(docs) or 1)], axis=1)
    ends = np.arange(len(docs) + 1, dtype=np.int32) * counts.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(counts.reshape(-1)))


def copies_before(
    place: Place,
    bins: int,
    drawn: npt.NDArray[np.uint64],
    ids: list[str],
    unit: int,
    rows: npt.NDArray[Any],
) -> tuple[Ints, Ints]:
    """Of each document of a cell, how many of its copies come before a place, the one it lies in included,
    int64[n], and of that one the tokens before it, int64[n], -1 where all copies are whole.

    `drawn` uint64[n]: the documents' draws, which are divided into `bins`; `unit` and rows uint32[n]: their
    addresses.
    """
    bin_d = bins_of_draws(drawn, bins)
    taken = bin_d < place.threshold
    cut = np.full(len(drawn), -1, np.int64)
    last = place.last
    if last is not None:
        end = (int(last.draw, 16), last.document, last.unit, last.row)
        for at in np.flatnonzero(bin_d == place.threshold).tolist():
            here = (int(drawn[at]), ids[at], unit, int(rows[at]))
            if here == end and last.tokens:
                taken[at], cut[at] = True, last.tokens
            elif here < end:
                taken[at] = True
    return place.epoch + taken.astype(np.int64), cut
