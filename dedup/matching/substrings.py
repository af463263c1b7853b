"""The rows of the exchange that finds repeated substrings: anchors, stretches of text around them, spans.

Rows of all rounds are of two kinds: those of anchors, and spans that are known to repeat (`span` is true) and
go on as they are to the last round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.dedup.kernels.anchors import copy_spans, find_anchors
from corpusmill.dedup.kernels.span_bounds import narrowed_spans
from corpusmill.dedup.kernels.token_codes import spans_of_text
from corpusmill.dedup.kernels.windows import Members, repeated_windows
from corpusmill.dedup.matching.hot_pieces import known_twice, learn_keys
from corpusmill.dedup.matching.normal_forms import normal_forms
from corpusmill.dedup.matching.token_texts import ENDS
from corpusmill.pipelines.contract.documents import buffers, contiguous, unwritable
from corpusmill.pipelines.contract.survivors import FACTS, ranks
from corpusmill.pipelines.text.mixing import mixed

Index = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]
WIDEST = 32  # bytes of a gram whose hash is a key: longer ones meet less often, shorter ones need fewer rows

FEW = 8  # stretches that differ of which each pair is looked at


def gram_width(length: int) -> int:
    """Bytes of the grams that anchors are chosen among, for windows of so many bytes."""
    return min(WIDEST, max(1, length // 2))


def anchor_rows(texts: pa.Array, unit: int, rows: Rows, length: int, first_stays: bool) -> pa.Table:
    """The anchors of the texts of `rows`, and the spans that repeat the bytes just before them.

    `place`: the anchor's own; `first`, `last`: where its windows begin; of a span its start and end.
    """
    offsets, data = buffers(texts)
    here = rows.astype(np.uint32)
    found = find_anchors(offsets, data, length, gram_width(length), first_stays)
    again = here[found.again_text]
    tables = [
        {
            "key": found.key,
            "row": here[found.text],
            "span": np.full(len(found.key), False),
            "place": found.place,
            "first": found.first,
            "last": found.last,
        },
        {
            "key": mixed(again.astype(np.uint64)),
            "row": again,
            "span": np.full(len(again), True),
            "place": found.again_start,
            "first": found.again_start,
            "last": found.again_end,
        },
    ]
    joined = pa.concat_tables([pa.table(columns) for columns in tables])
    return joined.append_column("unit", pa.array(np.full(len(joined), unit, np.uint32)))


def learn_anchors(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """The keys of all anchors seen, and whether several have each. Memory: 9 bytes a key."""
    return learn_keys(known, _of_kind(rows, span=False))


def of_several(known: pa.Table, rows: pa.Table) -> pa.Table:
    """From some anchors to those of them that stand in several places, and spans as they are; `anchor` is the
    key."""
    made = pa.concat_tables([known_twice(known, _of_kind(rows, span=False)), _of_kind(rows, span=True)])
    return made.rename_columns(["anchor" if name == "key" else name for name in made.column_names])


def _of_kind(rows: pa.Table, *, span: bool) -> pa.Table:
    return rows.filter(pa.array(rows.column("span").to_numpy(zero_copy_only=False) == span))


def stretches(rows: pa.Table, side: pa.Table, compared: str, length: int) -> pa.Table:
    """From anchors by document to the stretches of text that their windows cover, keyed by anchor.

    `rows` are sorted by document; `side` has a row for each document among them, in the same order, and the
    text in the column `compared`. Memory: of each anchor about `length` bytes and as much as to the next
    anchor.
    """
    document = _documents(rows)
    span = rows.column("span").to_numpy(zero_copy_only=False)
    first = np.array(rows.column("first").to_numpy())  # kernels are compiled for arrays that may be written
    end = np.where(span, first, rows.column("last").to_numpy() + length)
    bounds = np.concatenate([[0], np.cumsum(end - first)])
    offsets, data = buffers(contiguous(side.column(compared)))
    out = np.empty(int(bounds[-1]), np.uint8)
    copy_spans(offsets, data, document, first, end, bounds[:-1], out)
    texts = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(rows), [None, pa.py_buffer(bounds), pa.py_buffer(out)]
    )
    facts = side.select(["id", "source", "bytes"]).take(pa.array(document))
    made = rows.drop_columns(["key"])
    made = made.rename_columns(["key" if name == "anchor" else name for name in made.column_names])
    for name in facts.column_names:
        made = made.append_column(name, facts.column(name))
    return made.append_column("stretch", texts)


def _documents(rows: pa.Table) -> Index:
    """int64[m]: the number of each row's document, of rows sorted by document, from 0."""
    unit, row = rows.column("unit").to_numpy(), rows.column("row").to_numpy()
    new = (unit[1:] != unit[:-1]) | (row[1:] != row[:-1])
    return np.concatenate([np.zeros(min(1, len(unit)), np.int64), np.cumsum(new)])


def repeated_spans(rows: pa.Table, length: int, first_stays: bool, priority: Sequence[str]) -> pa.Table:
    """From stretches by anchor to the spans of them that repeat, with what keeps each.

    Memory: 250 bytes a row, beside the rows.
    """
    of_spans = rows.column("span").to_numpy(zero_copy_only=False)
    anchors = np.flatnonzero(~of_spans)
    key, place, first, last = (rows.column(name).to_numpy() for name in ("key", "place", "first", "last"))
    by = anchors[np.lexsort((place[anchors], _ranks(rows, priority)[anchors], key[anchors]))]
    key = key[by]
    new = np.append(np.full(min(1, len(key)), True), key[1:] != key[:-1])
    groups = np.append(np.flatnonzero(new), len(key))
    offsets, data = buffers(contiguous(rows.column("stretch")))
    members = Members(
        offsets[by], offsets[by + 1] - offsets[by], place[by] - first[by], last[by] - first[by] + 1
    )
    runs = repeated_windows(data, members, groups, length, FEW, first_stays)
    used = int(runs.used[0])
    member, partner = by[runs.member[:used]], runs.partner[:used]
    known = np.flatnonzero(of_spans)
    document = np.concatenate([member, known])
    here = rows.select(["unit", "row"]).take(pa.array(document))
    columns = {name: here.column(name) for name in here.column_names}
    columns["first"] = pa.array(np.concatenate([first[member] + runs.first[:used], first[known]]))
    columns["last"] = pa.array(np.concatenate([first[member] + runs.last[:used] + length, last[known]]))
    if first_stays:
        names = ["unit", "row", "id", "source"]
        keeper = rows.select(names).take(pa.array(np.concatenate([by[partner], known])))
        columns |= {f"survivor_{name}": keeper.column(name) for name in names}
    return pa.table(columns)


def _ranks(rows: pa.Table, priority: Sequence[str]) -> Index:
    """int64[m]: the rank of each row's document among those of all rows, the best first."""
    unit, row = rows.column("unit").to_numpy(), rows.column("row").to_numpy()
    address = unit.astype(np.uint64) << np.uint64(32) | row
    _, some, of = np.unique(address, return_index=True, return_inverse=True)
    return ranks(rows.select(FACTS).take(pa.array(some)), priority)[of]


def of_text(rows: pa.Table, side: pa.Table) -> pa.Table:
    """Spans by document of codes of tokens as spans of text: see `united`, whose arguments these are."""
    ends = contiguous(side.column(ENDS.name))
    starts = ends.offsets.to_numpy().astype(np.int64)[_documents(rows)]
    first, last = (rows.column(name).to_numpy() for name in ("first", "last"))
    found = spans_of_text(first, last, starts, ends.values.to_numpy())
    for name, places in zip(("first", "last"), found, strict=True):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(places))
    return rows


def united(rows: pa.Table, side: pa.Table, bounds: str) -> pa.Table:
    """From spans by document to `EDITS` rows without a reason: spans that overlap or touch are one, which its
    first part's survivor keeps, without the parts of words or lines at its ends."""
    names = [name for name in rows.column_names if name != "key"]
    # Of spans that begin together the longest is the first; ties are the same span.
    order = rows.append_column("shorter", pc.negate(rows.column("last")))
    by = pc.sort_indices(
        order, sort_keys=[(name, "ascending") for name in ("unit", "row", "first", "shorter", *names)]
    )
    rows = rows.select(names).take(by)
    document = _documents(rows)
    first, last = rows.column("first").to_numpy(), rows.column("last").to_numpy()
    size = int(last.max(initial=0)) + 1
    reach = np.maximum.accumulate(document * size + last) if len(last) else last
    new = np.append(np.full(min(1, len(first)), True), (document * size + first)[1:] > reach[:-1])
    begins = np.flatnonzero(new)
    of = document[begins]
    start = first[begins]
    end = reach[np.append(begins[1:], len(first)) - 1] - of * size if len(first) else last
    if bounds != "characters":
        offsets, data = buffers(contiguous(side.column("text")))
        start, end = narrowed_spans(offsets, data, of, start, end, normal_forms(True), bounds == "lines")
    left = np.flatnonzero(start < end)
    kept = rows.take(pa.array(begins[left]))
    columns = {name: kept.column(name) for name in names if name not in ("first", "last")}
    columns |= {"start": start[left].astype(np.uint64), "end": end[left].astype(np.uint64)}
    return pa.table(columns)


def warm(length: int) -> None:
    """Compile the kernels on nothing."""
    none, some = unwritable(np.zeros(1, np.int64)), unwritable(np.zeros(0, np.uint8))
    index = np.zeros(0, np.int64)
    find_anchors(none, some, length, gram_width(length), True)
    copy_spans(none, some, index, index, index, index, np.zeros(0, np.uint8))
    repeated_windows(some, Members(index, index, index, index), np.zeros(1, np.int64), length, FEW, True)
    narrowed_spans(none, some, index, index, index, normal_forms(True), False)
