"""Where the phases of each cell end in the line of its copies, exact to the token.

Documents of a cell have an order of their own: that of `(draw, id, unit, row)`, where the draw is random
and the address only tells equal documents apart. Copies of a cell stand in a line: epoch after epoch all of
its documents, in this order. A phase takes the line from where the phase before ended, for as many tokens as
it is given; where it ends within a document, the rest of that copy is where the next phase begins, in the
view that the copy began in. So no document comes again before all others of its cell have, whatever the
phases, and of the last copy only the beginning is taken.

This takes two passes. Sums by bins of draws (`histogram`) say in which bin each phase ends (`line`); the
documents of these bins alone, one bin a phase and cell or a few, then say in which document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.mixtures.plan.cells import Values
from corpusmill.mixtures.plan.histogram import cell_key
from corpusmill.mixtures.plan.line import Walk
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.mixture_plan import LastDocument, Place

# Documents of the bins that phases end in, with their tokens by view.
EDGE = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("bin", pa.uint32(), nullable=False),
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("unit", pa.uint32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("tokens", pa.list_(pa.int64()), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
ORDER = ("draw", "id", "unit", "row")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stop:
    """Where a phase ends: the place, copies and bytes up to there (a copy cut counts as one), and epochs,
    which are whole but for the part of the last one that its tokens are."""

    place: Place
    documents: int
    bytes: int
    epochs: Fraction


def stops(walks: Mapping[Values, Walk], edge: pa.Table) -> dict[Values, list[Stop]]:
    """Where each phase of each cell ends. `edge`: EDGE rows, in any order.

    Raises IntegrityError where the rows are not those that the sums were made from.
    """
    keys = [(name, "ascending") for name in ("cell", "bin", *ORDER)]
    ordered = edge.sort_by(keys).combine_chunks()
    names = ordered.column("cell").to_numpy(zero_copy_only=False)
    found = {}
    for cell, walk in walks.items():
        key = cell_key(cell)
        first, end = (int(np.searchsorted(names, key, side=side)) for side in ("left", "right"))
        found[cell] = _Exact(cell, walk, ordered.slice(first, end - first)).stops()
    return found


class _Exact:
    """The exact walk along one line."""

    def __init__(self, cell: Values, walk: Walk, rows: pa.Table) -> None:
        self._cell, self._walk, self._rows = cell, walk, rows
        self._bins = rows.column("bin").to_numpy()
        sums = walk.sums
        self._documents = np.concatenate([[0], np.cumsum(sums.documents)])
        self._bytes = np.concatenate([[0], np.cumsum(sums.bytes)])
        self._epoch, self._bin, self._whole = 0, 0, 0  # bins, and documents of the next one, that are taken
        self._part, self._view = 0, 0  # tokens taken of the document behind them, in this view

    def stops(self) -> list[Stop]:
        found = []
        for phase, tokens in enumerate(self._walk.taken):
            self._take(phase, tokens)
            found.append(self._stop(phase))
        return found

    def _take(self, phase: int, left: int) -> None:
        if left and self._part:
            of = int(self._tokens(self._bin, self._view)[self._whole])
            used = min(left, of - self._part)
            left, self._part = left - used, self._part + used
            if self._part == of:
                self._whole, self._part = self._whole + 1, 0
        if left == 0:
            return
        view, ends = self._of(phase)
        behind = int(ends[self._bin])
        if self._whole:
            behind += int(self._tokens(self._bin, view)[: self._whole].sum())
        end = behind + left
        moved = False
        while end >= (total := int(ends[-1])):
            end, moved = end - total, True
            self._epoch += 1
            view, ends = self._of(phase)
            if total == 0:
                raise self._other_rows()
        place = int(np.searchsorted(ends, end, side="right")) - 1 if end else 0
        rest = end - int(ends[place])
        if moved or place != self._bin:
            self._bin, self._whole = place, 0
        self._view = view
        if rest:
            tokens = self._tokens(place, view)
            up_to = np.cumsum(tokens)
            self._whole = int(np.searchsorted(up_to, rest, side="right"))
            if self._whole == len(tokens):
                raise self._other_rows()
            self._part = rest - (int(up_to[self._whole - 1]) if self._whole else 0)

    def _of(self, phase: int) -> tuple[int, Ints]:
        view = self._walk.view(phase, self._epoch)
        return view, self._walk.ends[view]

    def _bounds(self, place: int) -> tuple[int, int]:
        number = int(self._walk.sums.bins[place])
        first, end = (int(np.searchsorted(self._bins, number, side=side)) for side in ("left", "right"))
        if first == end:
            raise self._other_rows()
        return first, end

    def _tokens(self, place: int, view: int) -> Ints:
        """Tokens of the documents of a bin in a view, in their order."""
        first, end = self._bounds(place)
        lists = self._rows.column("tokens").slice(first, end - first).to_pylist()
        return np.array([one[view] for one in lists], np.int64)

    def _stop(self, phase: int) -> Stop:
        place, last = self._bin, None
        documents = int(self._documents[place]) + self._whole + (self._part > 0)
        size = int(self._bytes[place])
        bins = self._walk.sums.bins
        threshold = int(bins[place]) if self._epoch_begun() else 0
        if self._whole or self._part:
            first, end = self._bounds(place)
            size += sum(self._rows.column("bytes").slice(first, self._whole).to_pylist())
            if self._whole < end - first:
                (row,) = self._rows.slice(first + self._whole, 1).to_pylist()
                of = row["tokens"][self._view]
                size += part_of(row["bytes"], self._part, of)
                last = LastDocument(f"{row['draw']:016x}", row["id"], row["unit"], row["row"], self._part, of)
            else:
                threshold += 1
        totals = self._walk.sums.totals
        return Stop(
            Place(self._epoch, threshold, last),
            self._epoch * totals[1] + documents,
            self._epoch * totals[2] + size,
            self._epochs(phase),
        )

    def _epoch_begun(self) -> bool:
        return bool(self._bin or self._whole or self._part)

    def _epochs(self, phase: int) -> Fraction:
        if not self._epoch_begun():
            return Fraction(self._epoch)
        view = self._view
        inside = int(self._walk.ends[view, self._bin]) + self._part
        if self._whole:
            inside += int(self._tokens(self._bin, view)[: self._whole].sum())
        return self._epoch + Fraction(inside, int(self._walk.ends[view, -1]))

    def _other_rows(self) -> IntegrityError:
        name = " / ".join(self._cell)
        return IntegrityError(f"the documents of {name} are fewer than the sums they were planned by")


def part_of(whole: int, tokens: int, of: int) -> int:
    """The part of a document's `whole` bytes that is taken with `tokens` of its `of` tokens, rounded down."""
    return whole * tokens // of if of else 0
