"""Reading a token shard: memory-mapped, any row at once, no copy where none is asked for.

A record batch is compared with its checksum once, when a row of it is first read: at most 8 MiB of tokens, at
some GB/s. What a reader never looks at is never read; `verify` reads everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import REPAIR, IntegrityError
from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import (
    FORMAT,
    READ,
    Phase,
    batch_digest,
    metadata_digest,
    token_digest,
)
from corpusmill.tokenizer.shards.framing import Framing, framing_fault

_CURE = f"; cure: copy it again from its run, or in the run `{REPAIR}`"

Tokens = npt.NDArray[np.unsignedinteger[Any]]


class Piece(NamedTuple):
    """A stretch of one document in a row. `source` is a name; `document` the id, 32 hex digits."""

    start: int
    length: int
    source: str
    fim: bool
    document: str
    offset: int
    epoch: int


Bring = Callable[[int], None]
"""Has the bytes of a record batch there, given its number, before they are read."""


def open_shard(path: Path | str) -> Shard:
    """Open a shard. Raises IntegrityError where it is cut short, no shard, or its metadata is damaged."""
    return Shard(Path(path))


@dataclass(frozen=True)
class _Opened:
    metadata: dict[str, Any]
    reader: pa.RecordBatchFileReader


class Shard:
    """One shard, open for reading. `metadata` is described in `shards.format`.

    `phase` is the mixture's phase that its rows belong to. `framing` says whether documents begin with bos
    and end with eos; None of a shard of format 2, which does not tell.

    `source` is where the bytes lie in place of the file, and `bring` has those of a record batch there
    before they are first read.

    Every method that reads rows raises IntegrityError where they are not those that were written.
    """

    def __init__(self, path: Path, source: pa.Buffer | None = None, bring: Bring | None = None) -> None:
        self.path, self._bring = path, bring
        opened = _open(path, source)
        self.metadata = opened.metadata
        self._reader = opened.reader
        self._batches: list[pa.RecordBatch] = [None] * opened.reader.num_record_batches  # read by `_checked`
        self.sequence_length = int(self.metadata["sequence_length"])
        self.model_vocab_size = int(self.metadata.get("model_vocab_size", self.metadata["vocab_size"]))
        self.dtype = np.dtype(np.uint16 if self.model_vocab_size <= 2**16 else np.uint32)
        self.phase = Phase(**self.metadata.get("phase", {"number": 0, "name": None}))
        self.framing = Framing.of(self.metadata) if "add_eos" in self.metadata else None
        self._per_batch = int(self.metadata["rows_per_batch"])
        self._unread = set(range(len(self._batches)))  # batches not compared with their checksums yet
        self._views_BL: list[Tokens] = [np.zeros((0, 0), self.dtype)] * len(self._batches)
        self.rows = int(self.metadata["rows"])
        if -(-self.rows // self._per_batch) != len(self._batches):
            found = len(self._batches)
            raise IntegrityError(f"{path}: {found} record batches, metadata says {self.rows} rows")

    def _view(self, batch: pa.RecordBatch) -> Tokens:
        column = batch.column(0)
        flat = column.values.to_numpy(zero_copy_only=True)
        length = self.sequence_length
        view: Tokens = flat[column.offset * length : (column.offset + len(column)) * length]
        if view.dtype != self.dtype:
            raise IntegrityError(
                f"{self.path}: tokens are {view.dtype}, the vocabulary asks for {self.dtype}"
            )
        return view.reshape(len(column), length)

    def _checked(self, index: int) -> int:
        """`index`, once batch `index` is known to be what was written."""
        if index in self._unread:
            if self._bring is not None:
                self._bring(index)
            first = index * self._per_batch
            last = min(first + self._per_batch, self.rows) - 1
            try:
                batch = self._reader.get_batch(index)
                sound = batch_digest(batch) == self.metadata["batches_xxh3"][index]
            except (pa.ArrowException, OSError, ValueError):
                sound = False
            if not sound or len(batch) != last - first + 1:
                raise IntegrityError(
                    f"{self.path}: rows {first} to {last} are not those it was written with{_CURE}"
                )
            self._batches[index], self._views_BL[index] = batch, self._view(batch)
            self._unread.discard(index)
        return index

    @property
    def rows_per_batch(self) -> int:
        """Rows of every record batch but the last."""
        return self._per_batch

    @property
    def record_batches(self) -> int:
        """Record batches of the file."""
        return len(self._batches)

    def record_batch(self, index: int) -> pa.RecordBatch:
        """Record batch `index`, in the memory map, once it is known to be what was written."""
        return self._batches[self._checked(index)]

    def batch_tokens(self, index: int) -> Tokens:
        """The rows of record batch `index`, [rows, L] of the shard's dtype, read-only, in the memory map."""
        return self._views_BL[self._checked(index)]

    def __len__(self) -> int:
        return self.rows

    def tokens(self, row: int) -> Tokens:
        """Row `row`, uint16[L] or uint32[L], read-only, straight from the memory map."""
        index = self._checked(row // self._per_batch)
        return self._views_BL[index][row % self._per_batch]  # type: ignore[no-any-return]

    def batch(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Tokens:
        """The rows asked for, in that order, copied into one array [n, L] of the shard's dtype."""
        out_NL = np.empty((len(rows), self.sequence_length), self.dtype)
        views, size = self._views_BL, self._per_batch
        for place, row in enumerate(np.asarray(rows).tolist()):
            out_NL[place] = views[self._checked(row // size)][row % size]
        return out_NL

    def tokens_at(
        self, rows_n: npt.NDArray[np.integer[Any]], places_n: npt.NDArray[np.integer[Any]]
    ) -> Tokens:
        """Single tokens: of row rows_n[i] the one at places_n[i]."""
        out_n = np.empty(len(rows_n), self.dtype)
        batch_n = rows_n // self._per_batch
        for index in np.unique(batch_n).tolist():
            here = batch_n == index
            view_BL = self._views_BL[self._checked(index)]
            out_n[here] = view_BL[rows_n[here] % self._per_batch, places_n[here]]
        return out_n

    def pieces(self, row: int) -> list[Piece]:
        """The pieces of row `row`, in order."""
        sources = self.metadata["sources"]
        batch = self._batches[self._checked(row // self._per_batch)]
        return [
            Piece(**{**piece, "source": sources[piece["source"]], "document": piece["document"].hex()})
            for piece in batch.column(1)[row % self._per_batch].as_py()
        ]

    def row_lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row before its padding, int64[rows]."""
        table = self.piece_table()
        row, length = table.column("row").to_numpy(), table.column("length").to_numpy()
        return np.bincount(row, weights=length, minlength=self.rows).astype(np.int64)

    def piece_table(self, rows: int | None = None) -> pa.Table:
        """All pieces in order, or those of the first `rows` rows, as one table: `row` int64 and the columns
        of `given_tables.PIECE`."""
        tables = []
        first, last = 0, self.rows if rows is None else min(rows, self.rows)
        for index in range(len(self._batches)):
            if first >= last:
                break
            batch = self.record_batch(index)
            column = batch.column(1).slice(0, last - first)
            flat = pa.Table.from_struct_array(column.flatten())
            lengths = np.diff(column.offsets.to_numpy())
            numbers = np.repeat(np.arange(first, first + len(column)), lengths)
            tables.append(flat.add_column(0, "row", pa.array(numbers, pa.int64())))
            first += len(column)
        if tables:
            return pa.concat_tables(tables)
        return pa.schema([pa.field("row", pa.int64()), *PIECE]).empty_table()

    def pieces_alone(self) -> Iterator[pa.ListArray]:
        """The pieces of every record batch, in order, without reading tokens: so they are not compared with
        the batch's checksum, and whoever takes them compares what it makes of them with the metadata.

        Raises IntegrityError where they cannot be read.
        """
        options = pa.ipc.IpcReadOptions(included_fields=[self._reader.schema.get_field_index("pieces")])
        try:
            with pa.memory_map(str(self.path)) as source:
                reader = pa.ipc.open_file(source, options=options)
                for index in range(reader.num_record_batches):
                    yield reader.get_batch(index).column(0)
        except (pa.ArrowException, OSError) as error:
            raise IntegrityError(f"{self.path}: its pieces cannot be read: {error}{_CURE}") from error

    def verify(self) -> None:
        """Read everything and compare it with the metadata. Raises IntegrityError naming the shard.

        Checks the checksum of every batch and of the tokens, that every id is in the vocabulary, that pieces
        cover each row from its start without gap or overlap, that only padding follows, that documents begin
        and end as the metadata says, and every count.
        """
        views_BL = [self.batch_tokens(index) for index in range(len(self._batches))]
        rows_RL = np.concatenate([np.zeros((0, self.sequence_length), self.dtype), *views_BL])
        table = self.piece_table()
        row, start, length = (table.column(name).to_numpy() for name in ("row", "start", "length"))
        filled_R = self.row_lengths()
        first = np.concatenate([[True], row[1:] != row[:-1]]) if len(row) else np.zeros(0, bool)
        expected = np.where(first, 0, np.concatenate([[0], (start + length)[:-1]]) if len(row) else 0)
        pad = np.arange(self.sequence_length) >= filled_R[:, None]
        counts = self.metadata["counts"]
        sources = np.bincount(table.column("source").to_numpy(), weights=length, minlength=1)
        names = enumerate(self.metadata["sources"])
        by_source = {name: int(sources[code]) if code < len(sources) else 0 for code, name in names}
        heads = int((table.column("offset").to_numpy() == 0).sum())
        heads += sum("from" in one for one in self.metadata.get("cut", ()))  # begun in an earlier phase
        checks = {
            "the digest of its tokens": token_digest(rows_RL) == self.metadata["tokens_xxh3"],
            "a token beyond the vocabulary": not len(rows_RL) or rows_RL.max() < self.metadata["vocab_size"],
            "pieces with gaps or overlaps": bool((start == expected).all()),
            "a piece beyond its row": bool((filled_R <= self.sequence_length).all()),
            "padding that is not": bool((rows_RL[pad] == self.metadata["pad_id"]).all()),
            "the count of tokens": int(length.sum()) == counts["tokens"],
            "the count of padding": int(pad.sum()) == counts["padding"],
            "the count of pieces": table.num_rows == counts["pieces"],
            "the count of documents": heads == counts["documents"] - counts["empty_documents"],
            "tokens by source": by_source == counts["tokens_by_source"],
        }
        wrong = [name for name, sound in checks.items() if not sound]
        framed = None if wrong else framing_fault(self, self.rows)
        if framed is not None:
            raise IntegrityError(f"{self.path}: {framed}{_CURE}")
        if wrong:
            raise IntegrityError(f"{self.path} is damaged: {', '.join(wrong)}{_CURE}")


def _open(path: Path, source: pa.Buffer | None) -> _Opened:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)) if source is None else source)
        metadata = {key.decode(): json.loads(value) for key, value in (reader.schema.metadata or {}).items()}
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, ValueError) as error:
        raise IntegrityError(f"{path} is not a whole token shard: {error}{_CURE}") from error
    if metadata.get("format") not in READ:
        raise IntegrityError(f"{path} is not a token shard of format {' or '.join(READ)}")
    if metadata.get("metadata_xxh3") != metadata_digest(metadata):
        raise IntegrityError(f"{path}: its metadata are not those it was written with{_CURE}")
    lacking = sorted({"phase", "add_bos", "add_eos"} - set(metadata)) if metadata["format"] == FORMAT else []
    if lacking:
        raise IntegrityError(f"{path}: its metadata lack {', '.join(lacking)}; whatever wrote it is at fault")
    written = len(metadata["batches_xxh3"])
    if written != reader.num_record_batches:
        raise IntegrityError(f"{path}: {reader.num_record_batches} record batches of {written}{_CURE}")
    return _Opened(metadata, reader)
