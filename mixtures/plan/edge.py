"""The documents of the bins that parts of epochs end in, and which of a batch come before the last one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.mixtures.plan.histogram import bins_of_draws, held_out
from corpusmill.mixtures.plan.selection import EDGE
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import token_counts
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.stage import ROW, UNIT
from corpusmill.pipelines.records.mixture_plan import SourcePlan


def edge_rows(
    batches: Iterator[Documents], seed: int, bins: Mapping[str, int], views: Mapping[str, int]
) -> pa.Table:
    """EDGE rows of the encoded documents, addressed, that lie in their source's bin, with their tokens in its
    view (`views`, 0 unless given); those held out left out."""
    found = [EDGE.empty_table()]
    for docs in batches:
        if len(docs) == 0 or not bins:
            continue
        drawn = draws(docs.column("id"), seed, "mixture")
        inside = np.flatnonzero(on_edge(docs, drawn, bins))
        columns = {
            "source": docs.column("source").cast(pa.string()),
            "draw": pa.array(drawn),
            "id": docs.column("id"),
            "unit": docs.column(UNIT),
            "row": docs.column(ROW),
            "tokens": pa.array(_tokens(docs, views)),
            "bytes": docs.column("bytes"),
        }
        found.append(pa.table(columns, schema=EDGE).take(pa.array(inside)))
    return pa.concat_tables(found)


def _tokens(docs: Documents, views: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Tokens of each document in the view of its source, int64[n]."""
    view_d = np.array([views.get(source, 0) for source in docs.column("source").to_pylist()], np.int64)
    found = np.zeros(len(docs), np.int64)
    for view in sorted(set(view_d.tolist())):
        found = np.where(view_d == view, token_counts(docs, view), found)
    return found


def on_edge(docs: Documents, drawn: npt.NDArray[np.uint64], bins: Mapping[str, int]) -> npt.NDArray[np.bool_]:
    """Which documents, of these draws, lie in their source's bin and are not held out, bool[n]."""
    wanted = np.array([bins.get(source, -1) for source in docs.column("source").to_pylist()], np.int64)
    inside: npt.NDArray[np.bool_] = (bins_of_draws(drawn) == wanted) & ~held_out(docs)
    return inside


def part_of_epoch(
    plan: SourcePlan, drawn: npt.NDArray[np.uint64], ids: list[str], unit: int, rows: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which documents of one source the part of an epoch holds, bool[n], and to how many tokens each is cut,
    int64[n], -1 for whole.

    `plan`: the source's; drawn uint64[n] their draws, `unit` and rows uint32[n] their
    addresses.
    """
    bins = bins_of_draws(drawn)
    taken = bins < plan.threshold
    cut = np.full(len(drawn), -1, np.int64)
    last = plan.last
    if last is not None:
        end = (int(last.draw, 16), last.document, last.unit, last.row)
        for at in np.flatnonzero(bins == plan.threshold).tolist():
            here = (int(drawn[at]), ids[at], unit, int(rows[at]))
            if here == end and last.tokens:
                taken[at], cut[at] = True, last.tokens
            elif here < end:
                taken[at] = True
    return taken, cut
