"""The documents a tokenizer is judged on: of every stratum those of smallest draw within a budget of bytes.

A row with a text is a document; a row without one is a sum over all documents of a stratum on offer. In a
stratum, sorted by `(draw, id)`, a document is kept that has less than the budget before it, so the last one
may run over; that set does not depend on how documents are divided or merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents, buffers, contiguous
from corpusmill.pipelines.contract.held_out import HeldOut
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.tokenizer.evaluation.strata import Stratum, Texts, strata_of

JUDGED = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),  # empty: not code
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("text", pa.large_string()),
    ]
)
_KEYS = ["source", "lang", "code"]
_BATCH_BYTES = 4 * 2**20


def sample(
    batches: Iterator[Documents], seed: int, apart: HeldOut | None, budget: int, longest: int
) -> pa.Table:
    """JUDGED rows of one unit; of a text longer than `longest` bytes only the beginning counts.

    `apart` is what was held out of training: None for a tokenizer that saw none of these documents.
    """
    kept = JUDGED.empty_table()
    waiting: list[pa.Table] = []
    size = 0
    for docs in batches:
        if apart is not None:
            docs = docs.keep(apart.held(docs, "tokenizer"))
        if len(docs):
            waiting.append(_rows(docs, seed, longest))
            size += waiting[-1].nbytes
        if size > max(budget, 2**24):
            kept, waiting, size = smallest(pa.concat_tables([kept, *waiting]), budget), [], 0
    return smallest(pa.concat_tables([kept, *waiting]), budget)


def smallest(table: pa.Table, budget: int) -> pa.Table:
    """`table` with each stratum's sums in one row, and its documents cut down to the budget; sorted."""
    texts = table.column("text").is_valid()
    totals = table.filter(pc.invert(texts)).group_by(_KEYS, use_threads=False)
    sums = totals.aggregate([("documents", "sum"), ("bytes", "sum")])
    held = table.filter(texts).sort_by([(name, "ascending") for name in (*_KEYS, "draw", "id")])
    sizes = held.column("bytes").to_numpy()
    before = np.cumsum(sizes) - sizes
    first = _firsts(held)
    held = held.filter(pa.array(before - before[first] < budget))
    n = sums.num_rows
    rows = pa.table(
        {
            **{name: sums.column(name) for name in _KEYS},
            "draw": pa.array(np.zeros(n, np.uint64)),
            "id": pa.array([""] * n, pa.string()),
            "documents": sums.column("documents_sum"),
            "bytes": sums.column("bytes_sum"),
            "text": pa.nulls(n, pa.large_string()),
        },
        schema=JUDGED,
    )
    return pa.concat_tables([rows.sort_by([(name, "ascending") for name in _KEYS]), held]).combine_chunks()


def _firsts(table: pa.Table) -> npt.NDArray[np.int64]:
    """For each row of a sorted table, the first row of its stratum: int64[n]."""
    n = table.num_rows
    starts = np.zeros(n, bool)
    starts[:1] = True
    for name in _KEYS:
        column = contiguous(table.column(name))
        if n > 1:
            starts[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.maximum.accumulate(np.where(starts, np.arange(n), 0))


def _rows(docs: Documents, seed: int, longest: int) -> pa.Table:
    texts = _beginnings(docs.text.fill_null(""), longest)
    strata = strata_of(docs)
    n = len(docs)
    columns = {
        "source": pa.array([source for source, _, _ in strata], pa.string()),
        "lang": pa.array([lang for _, lang, _ in strata], pa.string()),
        "code": pa.array([code or "" for _, _, code in strata], pa.string()),
        "draw": pa.array(draws(docs.column("id"), seed, "tokenizer.judged"), pa.uint64()),
        "id": docs.column("id"),
        "documents": pa.array(np.ones(n, np.int64)),
        "bytes": pa.array(np.diff(buffers(texts)[0]), pa.int64()),
        "text": texts,
    }
    held = pa.table(columns, schema=JUDGED)
    return pa.concat_tables([held, held.set_column(7, JUDGED.field("text"), pa.nulls(n, pa.large_string()))])


def _beginnings(texts: pa.Array, longest: int) -> pa.Array:
    """`texts` (large_string[n], no nulls) with each cut, at a character, to at most `longest` bytes."""
    long = np.diff(buffers(texts)[0]) > longest
    if not long.any():
        return texts
    cut = [
        text.as_buffer()[:longest].to_pybytes().decode("utf-8", "ignore")
        for text in texts.filter(pa.array(long))
    ]
    return pc.replace_with_mask(texts, pa.array(long), pa.array(cut, pa.large_string()))


def offered(table: pa.Table) -> dict[Stratum, int]:
    """Bytes on offer by stratum, from the sums of a JUDGED table."""
    sums = table.filter(table.column("text").is_null()).select([*_KEYS, "bytes"])
    return {(row["source"], row["lang"], row["code"] or None): int(row["bytes"]) for row in sums.to_pylist()}


def weights(table: pa.Table) -> dict[Stratum, float]:
    """By stratum, bytes on offer over bytes sampled of a JUDGED table; 1.0 where all texts are empty."""
    held = table.filter(table.column("text").is_valid()).group_by(_KEYS, use_threads=False)
    sampled = {
        (row["source"], row["lang"], row["code"] or None): int(row["bytes_sum"])
        for row in held.aggregate([("bytes", "sum")]).to_pylist()
    }
    return {
        stratum: size / sampled[stratum] if sampled.get(stratum) else 1.0
        for stratum, size in offered(table).items()
    }


def sampled_texts(table: pa.Table) -> Iterator[Texts]:
    """The documents of a JUDGED table, some MB at a time."""
    held = table.filter(table.column("text").is_valid())
    part = np.cumsum(held.column("bytes").to_numpy()) // _BATCH_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), held.num_rows]
    for start, stop in pairwise(bounds):
        if stop == start:
            continue
        few = held.slice(start, stop - start)
        strata = [(r["source"], r["lang"], r["code"] or None) for r in few.select(_KEYS).to_pylist()]
        yield Texts(contiguous(few.column("text")), strata)
