"""Texts without the passages that benchmark items stand in, cut until nothing of any item is found.

What a cut leaves meets, and may make up an item again; and a question that a page has many times is aligned
once. So what is left is scanned again, and cut again, `ROUNDS` times at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.dedup.kernels.benchmark_scan import Scan
from corpusmill.dedup.kernels.found_passages import found_passages
from corpusmill.dedup.matching.benchmark_index import Index
from corpusmill.dedup.matching.found_items import Limits, near_of
from corpusmill.dedup.matching.normal_forms import normal_forms
from corpusmill.pipelines.contract.documents import Columns, buffers

ROUNDS = 8
BREAKS = {"words": 0, "line": 1, "paragraph": 2}
CUT, EMPTIED, CONTAMINATED = "cut", "emptied", "contaminated"
SPAN = pa.struct(
    [("start", pa.int64()), ("end", pa.int64()), ("benchmark", pa.string()), ("item", pa.string())]
)

Integers = npt.NDArray[np.int64]
Part = tuple[int, int]
Look = Callable[[Integers, npt.NDArray[np.uint8]], tuple[Scan, npt.NDArray[np.bool_]]]
"""The scan of texts, given as offsets and bytes, and which of them reach a limit, bool[n]."""


@dataclass
class _Left:
    """What is left of a document: `kept`, parts of the text as it came, and its `text`; and what is cut:
    start, end and item of each span of the text as it came."""

    text: bytes
    kept: list[Part]
    spans: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        left = self.text.decode()
        return not left or left.isspace()

    def cut(self, found: list[tuple[int, int, int]]) -> None:
        """Take out spans of `text`, sorted and disjoint."""
        kept: list[Part] = []
        parts = iter(self.kept)
        part, at = next(parts, (0, 0)), 0  # `at`: where the part begins in the text as it is
        for start, end, item in found:
            while at + part[1] - part[0] <= start:
                kept.append(part)
                at += part[1] - part[0]
                part = next(parts)
            here = part[0] + start - at
            kept.append((part[0], here))
            at, part = start, (here, part[1])
            while at < end:
                size = min(end - at, part[1] - part[0])
                self.spans.append((part[0], part[0] + size, item))
                at, part = at + size, (part[0] + size, part[1])
                if part[0] == part[1]:
                    part = next(parts, (part[1], part[1]))
        kept += [part, *parts]
        self.kept = [(first, last) for first, last in kept if first < last]
        left, before = [], 0
        for start, end, _ in found:
            left.append(self.text[before:start])
            before = end
        self.text = b"".join([*left, self.text[before:]])


def cut_passages(
    offsets: Integers,
    data: npt.NDArray[np.uint8],
    found: Scan,
    reached: npt.NDArray[np.bool_],
    index: Index,
    limits: Limits,
    look: Look,
    unit: str,
    margin: int,
) -> Columns:
    """`outcome` string[n], what became of each text, null where nothing was found, and `spans`, lists of
    `SPAN`: first byte and end of what is cut of it, in order.

    `found` and `reached`: what `look` gives of the texts. `unit`: a key of `BREAKS`. Time: `ROUNDS` scans of
    the texts that reach a limit. Memory: a copy of them.
    """
    places = np.flatnonzero(reached)
    lefts = {int(d): _whole(data[offsets[d] : offsets[d + 1]].tobytes()) for d in places}
    near = _near(found, index, limits)
    near = near[reached[near[:, 0]]]
    near[:, 0] = np.searchsorted(places, near[:, 0])
    for _ in range(ROUNDS):
        if not len(places):
            break
        mine = [lefts[int(d)] for d in places]
        for left, spans in zip(mine, _spans(mine, near, index, unit, margin), strict=True):
            left.cut(spans)
        again = places[np.array([not left.empty for left in mine])]
        scan, still = look(*_buffers([lefts[int(d)] for d in again]))
        near = _near(scan, index, limits)
        near = near[still[near[:, 0]]]
        places = again[still]
        near[:, 0] = np.searchsorted(np.flatnonzero(still), near[:, 0])
    over = {int(d) for d in places}
    told = {d: CONTAMINATED if d in over else EMPTIED if left.empty else CUT for d, left in lefts.items()}
    n = len(reached)
    return {
        "outcome": pa.array([told.get(d) for d in range(n)], pa.string()),
        "spans": _lists([sorted(lefts[d].spans) if d in lefts else [] for d in range(n)], index),
    }


def _whole(text: bytes) -> _Left:
    return _Left(text, [(0, len(text))])


def _near(found: Scan, index: Index, limits: Limits) -> Integers:
    """Rows of `found_passages` for the questions that count, the best of a document first."""
    near = near_of(found, index, limits)
    others = np.nan_to_num(1.0 - near.numbers)
    by = np.lexsort((near.question, others, -near.share, near.document))
    by = by[near.counts[by]]
    items = index.near_items[near.question[by]]
    return np.stack([near.document[by], found.near[by, 3], found.near[by, 4], items], axis=1)


def _buffers(lefts: list[_Left]) -> tuple[Integers, npt.NDArray[np.uint8]]:
    return buffers(pa.array([left.text for left in lefts], pa.large_binary()))


def _spans(
    lefts: list[_Left], near: Integers, index: Index, unit: str, margin: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Spans of each text as it is now."""
    found = found_passages(*_buffers(lefts), normal_forms(True), index.grams, near, BREAKS[unit], margin)
    rows = np.searchsorted(found.document, np.arange(len(lefts) + 1))
    every = list(zip(found.start.tolist(), found.end.tolist(), found.item.tolist(), strict=True))
    for first, last in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True):
        yield every[first:last]


def _lists(spans: list[list[tuple[int, int, int]]], index: Index) -> pa.Array:
    flat = np.array([span for some in spans for span in some], np.int64).reshape(-1, 3)
    item = pa.array(flat[:, 2])
    columns = [
        pa.array(flat[:, 0]),
        pa.array(flat[:, 1]),
        pa.array(index.benchmark, pa.string()).take(item),
        pa.array(index.item, pa.string()).take(item),
    ]
    ends = np.append(0, np.cumsum([len(some) for some in spans])).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(columns, fields=list(SPAN)))


def edits(scores: Columns) -> pa.Table:
    """What `Cutting.cuts` gives, of the columns of `cut_passages`."""
    spans = scores["spans"]
    if isinstance(spans, pa.ChunkedArray):
        spans = spans.combine_chunks()
    row = pc.list_parent_indices(spans)
    start, end, benchmark, item = spans.flatten().flatten()
    return pa.table(
        {
            "row": row.cast(pa.int64()),
            "start": start,
            "end": end,
            "reason": pa.array([CONTAMINATED] * len(row), pa.string()),
            "survivor_id": item,
            "survivor_source": benchmark,
        }
    )
