"""What a shard holds as sequences for another format: its rows, or its documents put together again.

A row is a training sequence as it was packed. A document lies in one shard, but packing may cut it at ends of
rows and puts rows in a random order, so that its pieces lie anywhere; they join by their offsets. Documents
come in the order in which their first pieces stand, which is the seeded order of the rows. One that a phase
of the mixture ends in is two sequences: what each of two phases has of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.reader import Shard

Kind = Literal["rows", "documents"]
Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger[Any]]


class Sequences:
    """The sequences of a shard, in order; iterating gives their tokens, of the shard's dtype.

    `pieces`: the shard's pieces (columns of `given_tables.PIECE`, and `row`), in the order of the sequences;
    sequence i has `pieces[ends[i]:ends[i + 1]]`. With `padded`, rows keep their padding and are all of one
    length. Memory: some 100 bytes a piece, and one sequence.
    """

    def __init__(self, shard: Shard, kind: Kind, *, padded: bool = False) -> None:
        self.shard, self.kind, self.padded = shard, kind, padded and kind == "rows"
        table = shard.piece_table()
        self.pieces, self.ends = (
            (table, _row_ends(table, shard)) if kind == "rows" else _documents(table, shard)
        )
        columns = (self.pieces.column(name).to_numpy() for name in ("row", "start", "length"))
        self._row, self._start, self._length = (column.astype(np.int64) for column in columns)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def lengths(self) -> Ints:
        """Tokens of each sequence."""
        if self.padded:
            return np.full(len(self), self.shard.sequence_length, np.int64)
        before = np.concatenate([[0], np.cumsum(self._length)])
        return np.asarray(before[self.ends[1:]] - before[self.ends[:-1]], np.int64)

    def __iter__(self) -> Iterator[Tokens]:
        for number in range(len(self)):
            yield self.tokens(number)

    def tokens(self, number: int) -> Tokens:
        """Sequence `number`; a row is not copied."""
        first, last = int(self.ends[number]), int(self.ends[number + 1])
        if self.kind == "rows":
            tokens = self.shard.tokens(number)
            return tokens if self.padded else tokens[: int(self._length[first:last].sum())]
        parts = [
            self.shard.tokens(int(self._row[k]))[self._start[k] : self._start[k] + self._length[k]]
            for k in range(first, last)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _row_ends(table: pa.Table, shard: Shard) -> Ints:
    counts = np.bincount(table.column("row").to_numpy(), minlength=shard.rows)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _documents(table: pa.Table, shard: Shard) -> tuple[pa.Table, Ints]:
    """The pieces of `table` by document, and where documents begin. Raises IntegrityError where pieces of a
    document do not join."""
    n = table.num_rows
    if n == 0:
        return table, np.zeros(1, np.int64)
    name_p = np.zeros(n, np.dtype([("id", "V16"), ("epoch", "<i8")]))
    ids = table.column("document").combine_chunks()
    flat = np.frombuffer(ids.buffers()[1], np.uint8, 16 * n, 16 * ids.offset)
    name_p["id"] = flat.view("V16")
    name_p["epoch"] = table.column("epoch").to_numpy()
    keys = np.ascontiguousarray(name_p).view("V24").reshape(-1)
    _, code_p = np.unique(keys, return_inverse=True)
    offset, length = (table.column(name).to_numpy().astype(np.int64) for name in ("offset", "length"))
    copy_p, head_p = _copies(code_p.reshape(-1), offset, length, _resumed(table, shard), shard)
    first_c = np.full(int(copy_p.max()) + 1, n, np.int64)
    heads = np.flatnonzero(head_p)
    first_c[copy_p[heads]] = heads
    order = np.lexsort((offset, first_c[copy_p]))
    starts = np.flatnonzero(head_p[order])
    return table.take(pa.array(order)), np.concatenate([starts, [n]]).astype(np.int64)


def _resumed(table: pa.Table, shard: Shard) -> npt.NDArray[np.bool_]:
    """Which pieces begin where an earlier phase left a document, bool[p], by the metadata's `cut`."""
    resumed_p = np.zeros(table.num_rows, np.bool_)
    cuts = shard.metadata.get("cut", ())
    resumed = {(bytes.fromhex(one["document"]), one["epoch"], one["from"]) for one in cuts if "from" in one}
    if resumed:
        offset = table.column("offset").to_numpy()
        for at in np.flatnonzero(np.isin(offset, [start for _, _, start in resumed])).tolist():
            name = (table.column(name)[at].as_py() for name in ("document", "epoch", "offset"))
            resumed_p[at] = tuple(name) in resumed
    return resumed_p


def _copies(
    code_p: Ints, offset_p: Ints, length_p: Ints, resumed_p: npt.NDArray[np.bool_], shard: Shard
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """A number for each piece, the same for pieces of one copy, and which pieces copies begin with. Copies
    that share a name (one record that was read twice has one id) hold the same tokens, so any pieces of them
    that join are a copy."""
    order = np.lexsort((offset_p, code_p))
    copy_p, head_p = np.zeros(len(code_p), np.int64), offset_p == 0
    open_at: dict[int, list[int]] = {}  # end -> copies of the present name that end there
    copies, name = 0, -1
    codes, offsets, lengths = (column[order].tolist() for column in (code_p, offset_p, length_p))
    for place, code, offset, length in zip(order.tolist(), codes, offsets, lengths, strict=True):
        if code != name:
            name, open_at = code, {}
        waiting = open_at.get(offset)
        if waiting:
            copy = waiting.pop()
        elif offset == 0 or resumed_p[place]:
            copy, copies = copies, copies + 1
            head_p[place] = True
        else:
            raise IntegrityError(f"{shard.path}: pieces of a document do not join at its token {offset}")
        copy_p[place] = copy
        open_at.setdefault(offset + length, []).append(copy)
    return copy_p, head_p
