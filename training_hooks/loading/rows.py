"""The rows of the shards of one phase, as the kernels of `kernels.sequences` read them.

A record batch is opened when a sample first falls in it: its checksum is compared and every id looked at,
once a process, at some GB/s, and from then on it is an address in a table. S shards, B record batches, N
samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.reader import Shard
from corpusmill.training_hooks.kernels.documents import ignore_borders, mark_documents, mark_sources
from corpusmill.training_hooks.kernels.sequences import gather, gather_pairs, locate
from corpusmill.training_hooks.loading.locations import with_urls
from corpusmill.training_hooks.loading.stream import Run

IGNORED = -100  # torch's ignore index
_PIECE_FIELDS = ("start", "length", "source")

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
_Order = tuple[int, int, npt.NDArray[np.uint64], int, Integers, Integers, Integers]


class PhaseRows:
    """Rows of `shards`, all of one length L, cut into ceil(L / `context`) windows; `codes` are numbers of
    sources by their names.

    Methods take a `Run` of samples and fill arrays; they raise IntegrityError naming the shard whose rows are
    not those it was written with, or that holds an id outside the vocabulary.
    """

    def __init__(self, shards: Sequence[Shard], context: int, pad_id: int, codes: Mapping[str, int]) -> None:
        self.shards, self.context, self.pad_id = list(shards), context, pad_id
        self.length = shards[0].sequence_length
        self.windows_a_row = -(-self.length // context)
        self._ends_S = np.cumsum([shard.rows for shard in shards], dtype=np.int64)
        self._sizes_S = np.array([shard.rows_per_batch for shard in shards], np.int64)
        counts = [shard.record_batches for shard in shards]
        self._firsts_S = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)[:-1])).astype(np.int64)
        self._shards_B = np.repeat(np.arange(len(shards)), counts).astype(np.int64)
        self._bases_B = np.zeros(sum(counts), np.int64)
        self._parts_B4 = np.zeros((sum(counts), 4), np.int64)
        most = max(len(shard.metadata["sources"]) for shard in shards)
        self._codes_SN = np.full((len(shards), max(most, 1)), -1, np.int64)
        for line, shard in enumerate(shards):
            names = shard.metadata["sources"]
            self._codes_SN[line, : len(names)] = [codes[name] for name in names]
        self._kind = np.empty(0, shards[0].dtype)
        self._opened: list[Any] = []  # what the addresses lead into

    @property
    def windows(self) -> int:
        """Samples of an epoch."""
        return int(self._ends_S[-1]) * self.windows_a_row

    def tokens(self, run: Run, out_NW: Array) -> None:
        """Write the ids of the run's samples, padded past the ends of rows."""
        order = self._order(run)

        def work(done: int) -> int:
            return gather(
                run.first + done, *order, self._bases_B, self.length, self.context, self.pad_id, self._kind,
                out_NW[done:],
            )  # fmt: skip

        self._through(run, work)

    def pairs(self, run: Run, inputs_NT: Array, labels_NT: Array) -> None:
        """Write ids and labels: the ids one place on, `IGNORED` for padding."""
        order = self._order(run)

        def work(done: int) -> int:
            return gather_pairs(
                run.first + done, *order, self._bases_B, self.length, self.context, self.pad_id, IGNORED,
                self._kind, *((inputs_NT[done:], labels_NT[done:]) if done else (inputs_NT, labels_NT)),
            )  # fmt: skip

        self._through(run, work)

    def documents(self, run: Run, ids_NW: Array, places_NW: Array) -> None:
        """Write every token's number of its document in the sample, -1 for padding, and its place there."""
        order = self._order(run)

        def work(done: int) -> int:
            return mark_documents(
                run.first + done, *order, self._parts_B4, self.context, ids_NW[done:], places_NW[done:]
            )

        self._through(run, work)

    def ignore_borders(self, run: Run, labels_NT: Array) -> None:
        """Write `IGNORED` over labels across the borders of documents."""
        order = self._order(run)

        def work(done: int) -> int:
            return ignore_borders(
                run.first + done, *order, self._parts_B4, self.context, IGNORED, labels_NT[done:]
            )

        self._through(run, work)

    def sources(self, run: Run, out_NW: Array) -> None:
        """Write every token's code of its source; padding is left as it is."""
        order = self._order(run)

        def work(done: int) -> int:
            return mark_sources(
                run.first + done,
                *order,
                self._parts_B4,
                self.context,
                self._shards_B,
                self._codes_SN,
                out_NW[done:],
            )

        self._through(run, work)

    def places(self, run: Run) -> npt.NDArray[np.int64]:
        """int64[N, 4] of the run's samples: shard, its row, first token, number of the record batch."""
        found_N4 = locate(run.first, run.samples, *self._order(run))
        found_N4[:, 2] *= self.context
        return found_N4

    def _order(self, run: Run) -> _Order:
        """What all kernels take of a run's order and of the table of shards."""
        return run.n, run.half, run.keys, self.windows_a_row, self._ends_S, self._sizes_S, self._firsts_S

    def _through(self, run: Run, work: Callable[[int], int]) -> None:
        """Have all samples of a run written, opening record batches where the kernel met one unopened."""
        done = work(0)
        while done < run.samples:
            for batch in np.unique(self.places(run)[done:, 3]).tolist():
                if self._bases_B[batch] == 0:
                    self._open(batch)
            done += work(done)

    def _open(self, batch: int) -> None:
        shard = self.shards[int(self._shards_B[batch])]
        try:
            self._open_of(shard, batch)
        except IntegrityError as error:
            raise IntegrityError(with_urls(str(error))) from error

    def _open_of(self, shard: Shard, batch: int) -> None:
        index = batch - int(self._firsts_S[self._shards_B[batch]])
        record, tokens_BL = shard.record_batch(index), shard.batch_tokens(index)
        largest = int(tokens_BL.max(initial=0))
        if largest >= shard.metadata["vocab_size"]:
            row = index * shard.rows_per_batch + int((tokens_BL == largest).any(axis=1).argmax())
            raise IntegrityError(
                f"{shard.path} row {row} holds token id {largest}, but its vocabulary has "
                f"{shard.metadata['vocab_size']}: encode the documents again with the recipe's tokenizer"
            )
        column = record.column(1)
        fields = [column.values.field(name).to_numpy(zero_copy_only=True) for name in _PIECE_FIELDS]
        offsets = column.offsets.to_numpy(zero_copy_only=True)
        self._opened.append((tokens_BL, offsets, *fields))
        self._parts_B4[batch] = [_address(array) for array in (offsets, *fields)]
        self._bases_B[batch] = _address(tokens_BL)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
