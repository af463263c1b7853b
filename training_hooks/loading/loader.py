"""The shard loader: any batch of a seeded, shuffled, endless stream of training rows, by its number.

Every shard row of L tokens is cut into ceil(L / T) windows of T input positions. A window also carries the
`ahead` tokens after it (1 for next-token prediction, one more a depth of multi-token prediction), padded
past the end of the row: each token of a row is an input once and, but for the row's first, a target.

Epoch e visits all windows of all shards, phase after phase of the mixture, each phase in the order of a
seeded permutation of its own; samples are the epochs end to end. Batches of any size are cuts of this one
stream: a sample is a function of (shards, seed, its number) alone, so resuming is asking for the next. A
batch holds windows of one length: where phases have windows of several, it ends with the last of its length.

Shards are verified lazily, by checksums they carry: the metadata of each when it is opened, each record batch
(up to 8 MiB of tokens) once a loader, when a sample first falls in it. So a shard copied to any folder is
never trained on damaged, and the first batch does not wait for all shards to be read. Every worker of a
DataLoader verifies what it reads itself. Memory: a few integers a shard and a record batch, none a row.
B sequences, T context, W = T + ahead.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError, IntegrityError, UserError
from corpusmill.pipelines.storage.objects.current import storage_in_use, use_storage, use_storage_again
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.versions import note_version
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.loading.locations import Location, is_remote, open_shards
from corpusmill.training_hooks.loading.phases import by_phase, refuse_strangers
from corpusmill.training_hooks.loading.rows import PhaseRows
from corpusmill.training_hooks.loading.stream import Order, PhaseWindows, Stream


@dataclass(frozen=True)
class Window:
    """One sample: `row` of shard number `shard`, from token `start` on."""

    shard: int
    row: int
    start: int


class ShardLoader:
    """Batches from token shards, each a path or, where `storage` allows its scheme, a URL (`locations`).

    `context` T, of all phases, defaults to each phase's row length. `order`: `stored` has windows as they lie
    in the shards. `epochs` ends the stream; None: it has no end.

    Public facts: `vocab_size` (ids lie below it), `model_vocab_size` (ids a model makes room for, padding
    included), `pad_id`, `sources` (names), `tokenizer` (hash), `phases`, `windows` (samples an epoch), `end`
    (samples of the stream, or None), `shards`. Raises IntegrityError naming the shard where shards disagree
    on tokenizer, vocabulary, padding, names of phases or, in one phase, on row length, are cut short, have
    damaged metadata, or are held out from training; its methods raise it where rows they read are damaged.
    DataError where there are no rows; UserError for a context outside 1..L or a tokenizer without its own
    padding. Warns, once a folder, where the run that the shards lie in no longer holds them: an earlier
    version of their step, or one made from other inputs or options than it would be now.
    """

    def __init__(
        self,
        shards: Sequence[Location],
        *,
        batch_size: int,
        seed: int,
        context: int | None = None,
        ahead: int = 1,
        order: Order = "shuffled",
        epochs: int | None = None,
        storage: ObjectStorage | None = None,
    ) -> None:
        if batch_size < 1 or ahead < 0 or (epochs is not None and epochs < 1):
            raise ValueError("batch_size and epochs are at least 1, ahead at least 0")
        if order not in get_args(Order):
            raise ValueError(f"order is one of {', '.join(get_args(Order))}, not {order!r}")
        (twice, times), *_ = Counter(map(str, shards)).most_common(1) or [("", 0)]
        if times > 1:
            raise UserError(f"{twice} is given {times} times, so its rows would be trained on as often")
        if storage is not None:
            use_storage(storage)
        self._locations = list(shards)
        self.remote = any(is_remote(location) for location in shards)
        self._arguments = {
            "batch_size": batch_size, "seed": seed, "context": context, "ahead": ahead, "order": order,
            "epochs": epochs,
        }  # fmt: skip
        if not shards:
            raise DataError("no token shards to load: give at least one")
        self.shards = open_shards(shards)
        first = self.shards[0]
        refuse_strangers(self.shards)
        for folder in sorted({Path(path).resolve().parent for path in shards if not is_remote(path)}):
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
        length = min(shard.sequence_length for shard in self.shards)
        if context is not None and not 1 <= context <= length:
            raise UserError(f"context must lie in 1..{length} (tokens of a row), got {context}")
        self.batch_size, self.ahead, self.seed, self.order = batch_size, ahead, seed, order
        self.sources = sorted({name for shard in self.shards for name in shard.metadata["sources"]})
        self._lay_out(context, epochs)

    def _lay_out(self, context: int | None, epochs: int | None) -> None:
        """The phases' rows, and the stream over them."""
        codes = {name: code for code, name in enumerate(self.sources)}
        self._rows: list[PhaseRows] = []
        self._numbers: list[list[int]] = []  # of the phases' shards, among all
        phases = []
        for phase, members in by_phase(self.shards):
            shards = [self.shards[i] for i in members]
            window = shards[0].sequence_length if context is None else context
            rows = PhaseRows(shards, window, self.pad_id, codes)
            if rows.windows:
                phases.append(PhaseWindows(phase.number, phase.name, rows.windows, window))
                self._rows.append(rows)
                self._numbers.append(members)
        if not phases:
            raise DataError(f"the {len(self.shards)} token shards hold no rows: nothing was left to train on")
        self._stream = Stream(phases, self.seed, self.order, epochs)
        self.phases, self.windows, self.end = self._stream.phases, self._stream.windows, self._stream.end

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy opens the shards anew: addresses are of this process."""
        return _again, (type(self), self._locations, self._arguments, storage_in_use())

    @property
    def context(self) -> int:
        """T of all phases. Raises ValueError where they have several."""
        lengths = sorted({phase.context for phase in self.phases})
        if len(lengths) > 1:
            raise ValueError(
                f"phases have windows of {lengths} tokens: give one `context`, at most {lengths[0]}"
            )
        return lengths[0]

    def require_tokenizer(self, definition: Path) -> None:
        """Raises IntegrityError unless the file `definition` (tokenizer.json) is what encoded the shards."""
        found = hashlib.sha256(definition.read_bytes()).hexdigest()
        if found != self.tokenizer:
            raise IntegrityError(
                f"{self.shards[0].path} was encoded by tokenizer {self.tokenizer[:16]}, but {definition} is "
                f"{found[:16]}: encode the documents again with this tokenizer"
            )

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """Token ids int64[B, W] of batch `number`: `sequences` of its B samples. Raises ValueError where it
        would hold windows of two lengths: there, ask `batch_end` where each batch ends."""
        return self.sequences(number * self.batch_size, self.batch_size)

    def batch_end(self, start: int, rows: int | None = None) -> int:
        """The sample after the batch of `rows` (B) that begins at sample `start`: fewer follow where a phase
        with windows of another length begins, or the stream ends."""
        return self._stream.batch_end(start, self.batch_size if rows is None else rows)

    def phase_at(self, sample: int) -> PhaseWindows:
        """The phase that a sample belongs to."""
        return self.phases[self._stream.phase_at(sample)]

    def sequences(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Token ids int64[count, W] of samples `start` to `start + count - 1` of the stream, padded with
        `pad_id` past the ends of rows.

        Raises IntegrityError naming the shard whose rows are not those it was written with, or that holds
        an id outside the vocabulary; ValueError for samples of two lengths, or past the stream's end.
        """
        out_NW = np.empty((count, self._context(start, count) + self.ahead), np.int64)
        for rows, run, lines in self._runs(start, count):
            rows.tokens(run, out_NW[lines])
        return out_NW

    def pairs(
        self, start: int, count: int, into: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Ids and labels of samples, int64[count, T] each: labels are the ids one place on, -100 where there
        is none or it is padding. `into`: the arrays to fill, of any integer type. Raises as `sequences`."""
        context = self._context(start, count)
        if into is None:
            into = np.empty((count, context), np.int64), np.empty((count, context), np.int64)
        for rows, run, lines in self._runs(start, count):
            rows.pairs(run, into[0][lines], into[1][lines])
        return into

    def documents(
        self, start: int, count: int, into: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """For every token of samples its document's number in the sample, from 0, and its place in the
        document's part of the sample, int64[count, T] each; padding is a document of number -1. `into`: the
        arrays to fill, of any integer type. Raises as `sequences`."""
        if into is None:
            shape = count, self._context(start, count)
            into = np.empty(shape, np.int64), np.empty(shape, np.int64)
        for rows, run, lines in self._runs(start, count):
            rows.documents(run, into[0][lines], into[1][lines])
        return into

    def ignore_borders(self, start: int, count: int, labels_NT: npt.NDArray[Any]) -> None:
        """Put -100 over the labels of samples that are the first token of another document than their own."""
        for rows, run, lines in self._runs(start, count):
            rows.ignore_borders(run, labels_NT[lines])

    def sequence_sources(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """For every token of `sequences(start, count)`, the index of its source in `sources`, or -1."""
        codes_NW = np.full((count, self._context(start, count) + self.ahead), -1, np.int64)
        for rows, run, lines in self._runs(start, count):
            rows.sources(run, codes_NW[lines])
        return codes_NW

    def stream(self) -> dict[str, Any]:
        """JSON-ready identity of the stream of samples: equal values mean equal samples."""
        facts = {
            "seed": self.seed,
            "context": self._arguments["context"] if len(self.phases) > 1 else self.context,
            "ahead": self.ahead,
            "tokenizer": self.tokenizer,
            "shards": [shard.metadata["tokens_xxh3"] for shard in self.shards],
        }
        if any(phase.name is not None for phase in self.phases):
            facts["phases"] = [list(shard.phase) for shard in self.shards]
        if self.order != "shuffled":
            facts["order"] = self.order
        return facts

    def samples(self, start: int, count: int) -> list[Window]:
        """Where samples `start` to `start + count - 1` of the stream lie."""
        found = []
        for run in self._stream.runs(start, count):
            numbers = self._numbers[run.phase]
            for shard, row, token, _ in self._rows[run.phase].places(run).tolist():
                found.append(Window(numbers[shard], row, token))
        return found

    def _context(self, start: int, count: int) -> int:
        """T of these samples."""
        if self._stream.one_length and self.end is None:
            return self.phases[0].context
        if count > 0 and self.batch_end(start, count) < start + count:
            raise ValueError(f"samples {start} to {start + count - 1} are of two lengths or past the end")
        return self.phase_at(start).context

    def _runs(self, start: int, count: int) -> Any:
        """The rows of a phase, a run of samples in it, and which of the samples asked for they are."""
        line = 0
        for run in self._stream.runs(start, count):
            yield self._rows[run.phase], run, slice(line, line + run.samples)
            line += run.samples


def row_length(shards: Sequence[Path]) -> int:
    """Tokens of a row of these shards, of the shortest where phases differ. Raises DataError where there are
    none."""
    if not shards:
        raise DataError("no token shards to load: give at least one")
    return min(open_shard(path).sequence_length for path in shards)


def _again(
    kind: type[ShardLoader], shards: Sequence[Location], arguments: dict[str, Any], storage: dict[str, Any]
) -> ShardLoader:
    if storage and not storage_in_use():
        use_storage_again(storage)
    return kind(shards, **arguments)
