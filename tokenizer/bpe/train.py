"""Training a byte-level BPE from texts or from their counts, without a recipe."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.bpe.count_runs import table_rows
from corpusmill.tokenizer.bpe.counts import LONGEST_PRETOKEN, MEMORY, PretokenCounter, merge_counts
from corpusmill.tokenizer.bpe.definition import FIXED, definition_json
from corpusmill.tokenizer.bpe.learn import Learned, learn_merges
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

_GROWTH_SIZES = 200  # vocabulary sizes at which compression is told


@dataclass(frozen=True)
class Trained:
    """A training's outcome.

    `definition` is the text of tokenizer.json. Counts trained on: `pretokens` distinct ones, `occurrences` of
    them, `bytes` in those; left out for `max_pretokens`: `dropped_pretokens`, `dropped_occurrences`.
    """

    learned: Learned
    definition: str
    pretokens: int
    occurrences: int
    bytes: int
    dropped_pretokens: int
    dropped_occurrences: int

    @property
    def vocab_size(self) -> int:
        """Special tokens, bytes and merged tokens; without reserved ones."""
        return FIXED + len(self.learned.tokens)

    def growth(self) -> list[dict[str, float]]:
        """Bytes per token on the counts trained on, of the first merges alone.

        Rows are `{vocab_size, bytes_per_token}`, at about 200 sizes, evenly spaced by logarithm from the bare
        bytes to the whole vocabulary. Tokens are counted as training merges them: exact for every size.
        """
        sizes = np.unique(np.geomspace(FIXED, self.vocab_size, _GROWTH_SIZES).round().astype(np.int64))
        # A merge without a new token belongs to the vocabulary of the tokens before it.
        new = np.cumsum(_is_new(self.learned))
        merges = np.searchsorted(new, sizes - FIXED, side="right")
        saved = np.concatenate([[0], np.cumsum(self.learned.saved)])
        return [
            {"vocab_size": int(size), "bytes_per_token": round(self.bytes / (self.bytes - int(saved[m])), 6)}
            for size, m in zip(sizes, merges, strict=True)
        ]


def train(
    texts: Iterable[pa.Array | pa.ChunkedArray],
    *,
    vocab_size: int,
    pre: PreTokenizer | None = None,
    min_frequency: int = 2,
    max_token_bytes: int | None = None,
    longest_pretoken: int = LONGEST_PRETOKEN,
    reserved_tokens: int = 0,
    max_pretokens: int | None = None,
    count_memory: int = MEMORY,
    threads: int = 1,
) -> Trained:
    """Train on all of `texts`, arrays of strings taken one after the other; options as of `TrainBpe`.

    `threads` count at a time, each with its share of `count_memory`; the outcome does not depend on them.
    Raises UserError for texts without a byte, ValueError for a vocabulary too small.
    """
    pre = PreTokenizer() if pre is None else pre
    counts = _count(iter(texts), pre, longest_pretoken, count_memory, max(1, threads))
    return train_from_counts(
        counts,
        vocab_size=vocab_size,
        pre=pre,
        min_frequency=min_frequency,
        max_token_bytes=max_token_bytes,
        reserved_tokens=reserved_tokens,
        max_pretokens=max_pretokens,
    )


def train_from_counts(
    counts: pa.Table,
    *,
    vocab_size: int,
    pre: PreTokenizer,
    min_frequency: int = 2,
    max_token_bytes: int | None = None,
    reserved_tokens: int = 0,
    max_pretokens: int | None = None,
) -> Trained:
    """Train on a table of COUNTS; `vocab_size` is of all tokens, reserved ones included."""
    entries = vocab_size - FIXED - reserved_tokens
    if entries < 0:
        raise ValueError(
            f"vocab_size {vocab_size} is less than the {FIXED} tokens every tokenizer has and "
            f"{reserved_tokens} reserved ones; raise it"
        )
    if counts.num_rows == 0:
        raise UserError("there are no pre-tokens to train on: every text is empty")
    all_occurrences = _sum(counts)
    kept = counts if max_pretokens is None else most_frequent(counts, max_pretokens)
    offsets, data, number = table_rows(kept)
    learned = learn_merges(
        offsets,
        data,
        number,
        entries=entries,
        min_frequency=min_frequency,
        max_token_bytes=max_token_bytes,
    )
    occurrences = _sum(kept)
    return Trained(
        learned=learned,
        definition=definition_json(pre, learned, reserved_tokens),
        pretokens=kept.num_rows,
        occurrences=occurrences,
        bytes=int(np.dot(np.diff(offsets), number)),
        dropped_pretokens=counts.num_rows - kept.num_rows,
        dropped_occurrences=all_occurrences - occurrences,
    )


def most_frequent(counts: pa.Table, most: int) -> pa.Table:
    """The `most` most frequent rows of a table of COUNTS, in its order; of equally frequent ones those whose
    bytes sort first."""
    import pyarrow.compute as pc

    if counts.num_rows <= most:
        return counts
    number = counts.column("count").to_numpy()
    least = int(np.partition(number, len(number) - most)[len(number) - most])
    keep = number > least
    ties = np.flatnonzero(number == least)
    first = pc.sort_indices(counts.column("pretoken").take(pa.array(ties))).to_numpy()
    keep[ties[first[: most - int(keep.sum())]]] = True
    return counts.filter(pa.array(keep)).combine_chunks()


def _count(
    texts: Iterator[pa.Array | pa.ChunkedArray],
    pre: PreTokenizer,
    longest: int,
    memory: int,
    threads: int,
) -> pa.Table:
    with ExitStack() as stack:
        counters = [
            stack.enter_context(PretokenCounter(pre, longest, memory // threads)) for _ in range(threads)
        ]
        if threads == 1:
            for array in texts:
                _add(counters[0], array)
            return counters[0].finish()
        lock = threading.Lock()

        def work(counter: PretokenCounter) -> pa.Table:
            while True:
                with lock:
                    array = next(texts, None)
                if array is None:
                    return counter.finish()
                _add(counter, array)

        with ThreadPoolExecutor(threads) as pool:
            return merge_counts(list(pool.map(work, counters)))


def _add(counter: PretokenCounter, array: Any) -> None:
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        counter.add(chunk)


def _sum(counts: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(counts.column("count")).as_py())


def _is_new(learned: Learned) -> npt.NDArray[np.bool_]:
    """Which merges, bool[m], made a new token: those whose result is larger than every one before."""
    if len(learned.results) == 0:
        return np.zeros(0, np.bool_)
    before = np.concatenate([[255], np.maximum.accumulate(learned.results)[:-1]])
    new: npt.NDArray[np.bool_] = learned.results > before
    return new
