"""What is counted while texts are encoded, and the figures made of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.records.tokenizer_figures import GroupFigures, Usage
from corpusmill.pipelines.text.encoders import Encoder
from corpusmill.tokenizer.evaluation.strata import Strata, Texts
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary
from corpusmill.tokenizer.evaluation.word_classes import word_classes

Numbers = npt.NDArray[np.int64]
# Columns of the table by stratum. "exact" documents are those that their tokens spell byte by byte; only
# over their words can tokens be laid.
_COLUMNS = (
    "documents",
    "bytes",
    "characters",
    "words",
    "tokens",
    "exact_documents",
    "exact_words",
    "touching",
    "continued",
)
_AT = {name: index for index, name in enumerate(_COLUMNS)}


class Tally:
    """Counts of one tokenizer over any number of batches.

    `by_stratum` float64[2, S, 9] has `_COLUMNS`, first as counted, then with each document times its weight;
    `by_source` float64[R, V] counts each token, weighted; `seen` int64[V] as it came. The first two grow as
    strata and sources appear.
    """

    def __init__(self, vocabulary: Vocabulary, encoder: Encoder) -> None:
        self.vocabulary = vocabulary
        self._encoder = encoder
        self.by_stratum = np.zeros((2, 0, len(_COLUMNS)), np.float64)
        self.by_source = np.zeros((0, vocabulary.size), np.float64)
        self.seen = np.zeros(vocabulary.size, np.int64)

    def add(self, texts: Texts, strata: Numbers, sources: Numbers, weights: npt.NDArray[np.float64]) -> None:
        """Encode a batch and count; `strata` and `sources` int64[n] number each document's."""
        from corpusmill.tokenizer.kernels.token_figures import count_tokens, spelled_exactly, word_figures

        ends, tokens = self._encoder.encode(texts.text)
        offsets, data = buffers(texts.text)
        spelled, spelling = self.vocabulary.spelled, self.vocabulary.spelling
        exact = spelled_exactly(offsets, data, ends, tokens, spelled, spelling)
        words = word_figures(offsets, data, ends, tokens, spelled, exact, word_classes())
        rows = np.zeros((len(texts), len(_COLUMNS)), np.float64)
        rows[:, _AT["documents"]] = 1
        rows[:, _AT["bytes"]] = np.diff(offsets)
        rows[:, _AT["characters"]] = words.characters
        rows[:, _AT["words"]] = words.words
        rows[:, _AT["tokens"]] = np.diff(ends)
        rows[:, _AT["exact_documents"]] = exact
        rows[:, _AT["exact_words"]] = words.words * exact
        rows[:, _AT["touching"]] = words.touching
        rows[:, _AT["continued"]] = words.continued
        self.by_stratum = _grown(self.by_stratum, 1, int(strata.max(initial=-1)) + 1)
        np.add.at(self.by_stratum[0], strata, rows)
        np.add.at(self.by_stratum[1], strata, rows * weights[:, None])
        self.by_source = _grown(self.by_source, 0, int(sources.max(initial=-1)) + 1)
        count_tokens(ends, tokens, sources, weights, self.by_source, self.seen)

    def weighted_bytes(self, members: list[int]) -> float:
        """Bytes that the documents of these strata stand for."""
        return float(self.by_stratum[1, members, _AT["bytes"]].sum())


def _grown(table: npt.NDArray[np.float64], axis: int, size: int) -> npt.NDArray[np.float64]:
    missing = size - table.shape[axis]
    if missing <= 0:
        return table
    widths = [(0, missing if dimension == axis else 0) for dimension in range(table.ndim)]
    return np.pad(table, widths)


def group_figures(tally: Tally, strata: Strata) -> tuple[GroupFigures, ...]:
    """Figures of every group, in the order of `Strata.groups`.

    Documents, bytes and tokens are those counted; rates are of the weighted sums. A rate without a
    denominator is None.
    """
    found = []
    for name, by, members in strata.groups():
        sums = tally.by_stratum[:, members].sum(axis=1)
        plain = {column: int(sums[0, k]) for column, k in _AT.items()}
        total = {column: float(sums[1, k]) for column, k in _AT.items()}
        found.append(
            GroupFigures(
                group=name,
                by=by,
                documents=plain["documents"],
                bytes=plain["bytes"],
                tokens=plain["tokens"],
                bytes_per_token=_rate(total["bytes"], total["tokens"]),
                characters_per_token=_rate(total["characters"], total["tokens"]),
                words_per_token=_rate(total["words"], total["tokens"]),
                fertility=_rate(total["touching"], total["exact_words"]),
                continued_words=_rate(total["continued"], total["exact_words"]),
                altered_documents=plain["documents"] - plain["exact_documents"],
            )
        )
    return tuple(found)


def _rate(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def usage(tally: Tally, rare: int) -> Usage:
    """How much of the vocabulary the texts use.

    Of the entries of more than one byte: `unused` never occur; `under_trained` occur, but fewer than `rare`
    times. Examples are the longest ones, since those take most text to make.
    """
    vocabulary = tally.vocabulary
    counts = tally.seen
    literal = set(vocabulary.added.values())
    entries = [
        index
        for index, spelling in enumerate(vocabulary.spellings)
        if spelling is not None and len(spelling) > 1 and index not in literal
    ]
    unused = [index for index in entries if counts[index] == 0]
    scarce = [index for index in entries if 0 < counts[index] < rare]
    return Usage(
        entries=len(entries),
        unused=len(unused),
        unused_share=_rate(len(unused), len(entries)),
        rare_below=rare,
        under_trained=len(scarce),
        under_trained_share=_rate(len(scarce), len(entries)),
        unused_examples=_longest(vocabulary, unused),
        under_trained_examples=_longest(vocabulary, scarce),
    )


def _longest(vocabulary: Vocabulary, chosen: list[int], most: int = 12) -> tuple[str, ...]:
    first = sorted(chosen, key=lambda index: (-len(vocabulary.spellings[index] or b""), index))[:most]
    return tuple(vocabulary.text(index) for index in first)
