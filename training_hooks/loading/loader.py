"""The shard loader: any batch of a seeded, shuffled, endless stream of training rows, by its number.

Every shard row of L tokens is cut into ceil(L / T) windows of T input positions. A window also carries the
`ahead` tokens after it (1 for next-token prediction, one more a depth of multi-token prediction), padded
past the end of the row: each token of a row is an input once and, but for the row's first, a target.

Epoch e visits all windows of all shards in the order of a seeded permutation of its own; samples are the
epochs end to end. Batch i is samples i*B to (i+1)*B - 1, and batches of changing size are other cuts of the
same stream: a sample is a function of (shards, seed, its number) alone, so resuming is asking for the next.

Shards are verified lazily, by checksums they carry: the metadata of each when it is opened, each record batch
(up to 8 MiB of tokens) once a loader, when a sample first falls in it. So a shard copied to any folder is
never trained on damaged, and the first batch does not wait for all shards to be read. Every worker of a
DataLoader verifies what it reads itself.
B sequences, T context, W = T + ahead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError, IntegrityError, UserError
from corpusmill.pipelines.storage.versions import note_version
from corpusmill.tokenizer.shards.format import TRAIN
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.training_hooks.loading.permutation import Permutation

_BLOCK = 4096  # positions of the permutation computed at a time


@dataclass(frozen=True)
class Window:
    """One sample: `row` of shard number `shard`, from token `start` on."""

    shard: int
    row: int
    start: int


class ShardLoader:
    """Batches from token shards.

    `context` T defaults to the shards' row length. Public facts: `vocab_size` (ids lie below it),
    `model_vocab_size` (ids a model makes room for, padding included), `pad_id`, `sources` (names),
    `tokenizer` (hash), `context`, `windows` (samples an epoch), `shards`. Raises IntegrityError naming the
    shard where shards disagree on tokenizer, vocabulary, padding or row length, are cut short, have damaged
    metadata, or are held out from training; its methods raise it where rows they read are damaged. DataError
    where there are no rows; UserError for a context outside 1..L or a tokenizer without its own padding.
    Warns, once a folder, where the run that the shards lie in no longer holds them: an earlier version of
    their step, or one made from other inputs or options than it would be now.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        *,
        batch_size: int,
        seed: int,
        context: int | None = None,
        ahead: int = 1,
    ) -> None:
        length = row_length(shards)
        self.shards = [open_shard(path) for path in shards]
        first = self.shards[0]
        for shard in self.shards:
            _refuse_strangers(shard, first)
        for folder in sorted({Path(path).resolve().parent for path in shards}):
            note_version(folder)
        facts = first.metadata
        self.vocab_size, self.tokenizer = int(facts["vocab_size"]), str(facts["tokenizer"])
        self.model_vocab_size = first.model_vocab_size
        if facts["pad_id"] is None or facts["pad_id"] == facts["eos_id"]:
            raise UserError(
                "the tokenizer has no padding token of its own, so padding cannot be told from text: name "
                "one under `tokenizer: {load: {special_tokens: {pad: ...}}}`"
            )
        self.pad_id = int(facts["pad_id"])
        self.context = length if context is None else context
        if not 1 <= self.context <= length:
            raise UserError(f"context must lie in 1..{length} (tokens of a row), got {context}")
        self.batch_size, self.ahead, self.seed = batch_size, ahead, seed
        self._row_ends = np.cumsum([shard.rows for shard in self.shards], dtype=np.int64)
        self._windows_a_row = -(-length // self.context)
        self.windows = int(self._row_ends[-1]) * self._windows_a_row
        if self.windows == 0:
            raise DataError(f"the {len(shards)} token shards hold no rows: nothing was left to train on")
        self.sources = sorted({name for shard in self.shards for name in shard.metadata["sources"]})
        self._cached: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    def require_tokenizer(self, definition: Path) -> None:
        """Raises IntegrityError unless the file `definition` (tokenizer.json) is what encoded the shards."""
        found = hashlib.sha256(definition.read_bytes()).hexdigest()
        if found != self.tokenizer:
            raise IntegrityError(
                f"{self.shards[0].path} was encoded by tokenizer {self.tokenizer[:16]}, but {definition} is "
                f"{found[:16]}: encode the documents again with this tokenizer"
            )

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """Token ids int64[B, W] of batch `number`: `sequences` of its B samples."""
        return self.sequences(number * self.batch_size, self.batch_size)

    def sequences(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Token ids int64[count, W] of samples `start` to `start + count - 1` of the endless stream, padded
        with `pad_id` past the ends of rows.

        Raises IntegrityError naming the shard whose rows are not those it was written with, or that holds
        an id outside the vocabulary.
        """
        width = self.context + self.ahead
        tokens = np.full((count, width), self.pad_id, np.int64)
        windows = self.samples(start, count)
        for line, window in enumerate(windows):
            ids = self.shards[window.shard].tokens(window.row)[window.start : window.start + width]
            tokens[line, : len(ids)] = ids
        if int(tokens.max()) >= self.vocab_size:
            line = int((tokens >= self.vocab_size).any(axis=1).argmax())
            path = self.shards[windows[line].shard].path
            raise IntegrityError(
                f"{path} row {windows[line].row} holds token id {int(tokens[line].max())}, but its "
                f"vocabulary has {self.vocab_size}: encode the documents again with the recipe's tokenizer"
            )
        return tokens

    def sequence_sources(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """For every token of `sequences(start, count)`, the index of its source in `sources`, or -1."""
        width = self.context + self.ahead
        codes = np.full((count, width), -1, np.int64)
        for line, window in enumerate(self.samples(start, count)):
            for piece in self.shards[window.shard].pieces(window.row):
                begin = max(piece.start - window.start, 0)
                end = max(piece.start + piece.length - window.start, 0)
                codes[line, begin:end] = self.sources.index(piece.source)
        return codes

    def stream(self) -> dict[str, Any]:
        """JSON-ready identity of the stream of samples: equal values mean equal samples."""
        return {
            "seed": self.seed,
            "context": self.context,
            "ahead": self.ahead,
            "tokenizer": self.tokenizer,
            "shards": [shard.metadata["tokens_xxh3"] for shard in self.shards],
        }

    def samples(self, start: int, count: int) -> list[Window]:
        """Where samples `start` to `start + count - 1` of the endless stream lie."""
        picked = [self._position(sample) for sample in range(start, start + count)]
        rows, parts = np.divmod(np.array(picked, np.int64), self._windows_a_row)
        shards = np.searchsorted(self._row_ends, rows, side="right")
        before = np.concatenate(([0], self._row_ends[:-1]))[shards]
        found = zip(shards.tolist(), (rows - before).tolist(), (parts * self.context).tolist(), strict=True)
        return [Window(shard, row, offset) for shard, row, offset in found]

    def _position(self, sample: int) -> int:
        epoch, index = divmod(sample, self.windows)
        block, inside = divmod(index, _BLOCK)
        if self._cached is None or self._cached[0] != (epoch, block):
            order = Permutation(self.windows, self.seed, f"order of epoch {epoch}")
            end = min((block + 1) * _BLOCK, self.windows)
            self._cached = ((epoch, block), order(np.arange(block * _BLOCK, end)))
        return int(self._cached[1][inside])


def row_length(shards: Sequence[Path]) -> int:
    """Tokens of a row of these shards. Raises DataError where there are none."""
    if not shards:
        raise DataError("no token shards to load: give at least one")
    return open_shard(shards[0]).sequence_length


def _refuse_strangers(shard: Shard, first: Shard) -> None:
    if shard.metadata.get("split", TRAIN) != TRAIN:
        raise IntegrityError(f"{shard.path} holds documents that no model may be trained on: leave it out")
    for fact in ("tokenizer", "vocab_size", "model_vocab_size", "pad_id", "sequence_length"):
        ours, theirs = shard.metadata.get(fact), first.metadata.get(fact)
        if ours != theirs:
            raise IntegrityError(
                f"{shard.path} has {fact} {ours}, but {first.path} has {theirs}: "
                "shards of one training must come from one tokenizer and one packing"
            )
