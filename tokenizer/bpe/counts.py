"""How often every pre-token occurs in texts: all that training a BPE needs to know of them.

Counts are kept in one hash table (`kernels.count_table`). Where it would outgrow its share of the memory
budget, it is written to a temporary file as a run in order of key and started again; at the end the runs
are merged (`count_runs`). The result is the same with and without, and for any order of the texts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.documents import buffers, contiguous
from corpusmill.tokenizer.bpe.count_runs import COUNTS, merge_counts, sorted_counts

if TYPE_CHECKING:
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

__all__ = ["COUNTS", "PretokenCounter", "count_texts", "merge_counts"]

# While training, longer pre-tokens are counted in pieces of this many characters: a merge touches every
# pre-token that holds its pair, and a pre-token of millions of characters (a run of white space, Han text
# without punctuation, base64) would be met by nearly every merge. Encoding has no such cut.
LONGEST_PRETOKEN = 256
MEMORY = 512 * 2**20

# The table's share of the budget; while it is sorted into a run as much again and its bytes twice are held.
_TABLE_SHARE = 0.4
_FIRST_SLOTS, _FIRST_ARENA = 2**12, 2**15
_GENERAL_DOCUMENTS = 1024  # at a time through `tokenizers`


def count_texts(
    texts: pa.Array | pa.ChunkedArray,
    pre: PreTokenizer,
    longest: int = LONGEST_PRETOKEN,
    memory: int = MEMORY,
) -> pa.Table:
    """Counts of the pre-tokens of `texts` (string or large_string, null is empty): a table of COUNTS.

    Pre-tokens of more than `longest` characters are counted in pieces of that many. `memory`: see
    `PretokenCounter`.
    """
    with PretokenCounter(pre, longest, memory) as counter:
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            counter.add(chunk)
        return counter.finish()


class PretokenCounter:
    """Counts pre-tokens of texts given one array after the other. Not shared between threads; one for each.

    `memory`: bytes to work in; beyond it, counts go to files in a folder of the system's temporary folder,
    which is removed on leaving the context. Not bounded by it: the result, one row for each distinct
    pre-token, which `finish` returns.
    """

    def __init__(self, pre: PreTokenizer, longest: int = LONGEST_PRETOKEN, memory: int = MEMORY) -> None:
        from corpusmill.tokenizer.kernels.count_pretokens import new_block

        self._pre, self._code = pre, pre.code()
        self._longest = longest
        self._budget = int(memory * _TABLE_SHARE)
        self._runs: list[Path] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._slots: npt.NDArray[np.uint64]
        self._arena: npt.NDArray[np.uint8]
        self._used: npt.NDArray[np.int64]
        self._block = new_block()
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder, self._runs = None, []

    @property
    def runs(self) -> int:
        """Runs on disk so far."""
        return len(self._runs)

    def add(self, texts: pa.Array, stops: npt.NDArray[np.int64] | None = None) -> None:
        """Count `texts` (string or large_string [n]); of text i the first `stops[i]` bytes where given.

        `stops` int64[n], each at a character's end within its text.
        """
        texts = contiguous(texts)
        if not pa.types.is_large_string(texts.type):
            texts = texts.cast(pa.large_string())
        if texts.null_count:
            texts = texts.fill_null("")
        offsets, data = buffers(texts)
        spans = np.empty((len(texts), 2), np.int64)
        spans[:, 0] = offsets[:-1]
        spans[:, 1] = offsets[1:] if stops is None else offsets[:-1] + stops
        if self._code is not None:
            self._count_by_kernel(spans, data)
        else:
            for start in range(0, len(texts), _GENERAL_DOCUMENTS):
                self._count_by_tokenizers(spans[start : start + _GENERAL_DOCUMENTS], data)

    def finish(self) -> pa.Table:
        """The counts of all texts added: COUNTS in order of key, then bytes. The counter is empty again."""
        last = self._table()
        self._clear()
        runs = [ipc.open_file(pa.memory_map(str(path))).read_all() for path in self._runs]
        merged = merge_counts([*runs, last]) if runs else last
        del runs
        for path in self._runs:
            path.unlink()
        self._runs = []
        return merged

    def _count_by_kernel(self, spans: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> None:
        from corpusmill.tokenizer.kernels.count_pretokens import beginning, count_text
        from corpusmill.tokenizer.pretokenizer.character_classes import class_table

        at, classes = beginning(), class_table()
        while not count_text(
            self._slots,
            self._arena,
            self._used,
            self._code,
            classes,
            spans,
            data,
            self._longest,
            self._block,
            at,
        ):
            self._make_room()

    def _count_by_tokenizers(self, spans: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> None:
        from corpusmill.tokenizer.kernels.count_pretokens import beginning, count_ends
        from corpusmill.tokenizer.pretokenizer.general import general_ends

        texts = pa.array([data[start:stop].tobytes().decode() for start, stop in spans], pa.large_string())
        starts, ends = general_ends(self._pre, texts)
        at = beginning()
        while not count_ends(
            self._slots,
            self._arena,
            self._used,
            starts,
            ends,
            spans,
            data,
            self._longest,
            self._block,
            at,
        ):
            self._make_room()

    def _make_room(self) -> None:
        """A larger table, or, where that would be more than the budget, an empty one."""
        from corpusmill.tokenizer.kernels.count_table import SLOT_BYTES, refill

        strings, size = int(self._used[0]), int(self._used[1])
        slots_short = 2 * (strings + 1) > len(self._slots)
        slots = len(self._slots) * (2 if slots_short else 1)
        arena = len(self._arena)
        if not slots_short:
            arena = max(2 * arena, size + 4 * self._longest)
        if strings and slots * SLOT_BYTES + arena > self._budget:
            self._spill()
            return
        if slots_short:
            wider = np.zeros((slots, 4), np.uint64)
            refill(self._slots, wider)
            self._slots = wider
        else:
            larger = np.empty(arena, np.uint8)
            larger[:size] = self._arena[:size]
            self._arena = larger

    def _table(self) -> pa.Table:
        from corpusmill.tokenizer.kernels.count_table import take_rows

        strings, size = int(self._used[0]), int(self._used[1])
        offsets, counts = np.empty(strings + 1, np.int64), np.empty(strings, np.int64)
        data = np.empty(size, np.uint8)
        take_rows(self._slots, self._arena, offsets, data, counts)
        return sorted_counts((offsets, data, counts))

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="corpusmill-counts-")
        path = Path(self._folder.name) / f"{len(self._runs):06d}.arrow"
        with ipc.new_file(path, COUNTS) as file:
            file.write_table(self._table())
        self._runs.append(path)
        self._slots[:] = 0
        self._used[:] = 0

    def _clear(self) -> None:
        self._slots = np.zeros((_FIRST_SLOTS, 4), np.uint64)
        self._arena = np.empty(_FIRST_ARENA, np.uint8)
        self._used = np.zeros(2, np.int64)
