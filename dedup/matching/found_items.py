"""From what a scan finds to scores of documents: which items stand in them, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.benchmark_scan import Scan
from corpusmill.dedup.matching.benchmark_index import Index
from corpusmill.pipelines.contract.documents import Columns

VERBATIM, VARIANT, ALTERED, PART = "verbatim", "variant", "altered", "part"
KINDS = (VERBATIM, VARIANT, ALTERED, PART)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """The options of `Decontaminate` from which on an item counts as found."""

    overlap: float
    contained: float
    altered: float
    variant: float


@dataclass(frozen=True)
class Near:
    """k questions found near one another's words: document, question, share of plain words that stand in it,
    share of numbers that do (NaN where it has none), kind (place in `KINDS`), and whether that counts."""

    document: Integers
    question: Integers
    share: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.float64]
    kind: Integers
    counts: npt.NDArray[np.bool_]

    def best(self) -> Integers:
        """Places of the best of each document, and of each question in it, the best first."""
        others = np.nan_to_num(1.0 - self.numbers)
        by = np.lexsort((self.question, others, -self.share, ~self.counts, self.document))
        pairs = np.stack([self.document[by], self.question[by]], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        return np.asarray(by[np.sort(first)], np.int64)


def near_of(found: Scan, index: Index, limits: Limits) -> Near:
    """The rows of `near_questions`, judged.

    The share is of the longer of the question and of the passage that it was found in. A question is found
    verbatim where its words stand in a row, with its numbers; a variant has all its words and other numbers,
    or more than half of its numbers, and more than one, are others; the rest is altered.
    """
    questions = index.questions
    document, question, same_words, first, last, same_numbers = found.near.T
    size = np.diff(questions.plain_ends)[question]
    numbers = np.diff(questions.word_ends)[question] - np.minimum(
        size, np.diff(questions.word_ends)[question]
    )
    span = last - first + 1
    share = same_words / np.maximum(size, span)
    wrong = numbers - same_numbers
    variant = (wrong > 0) & ((same_words == size) | (wrong > np.maximum(1, numbers // 2)))
    altered = (same_words < size) | (span > size)
    kind = np.where(variant, 1, np.where(altered, 2, 0)).astype(np.int64)
    counts = share >= np.where(variant, limits.variant, limits.altered)
    with np.errstate(invalid="ignore"):
        return Near(document, question, share, same_numbers / numbers, kind, counts)


def columns(found: Scan, index: Index, limits: Limits) -> Columns:
    """Scores of N documents, as `Decontaminate.score` describes them."""
    near = near_of(found, index, limits)
    n = len(found.hits)
    matched, numbers = np.zeros(n), np.full(n, np.nan)
    kind = np.full(n, -1, np.int64)
    item = found.item.copy()
    of_question = (found.question >= 0) & (found.contained >= found.overlap)
    item[of_question] = index.question_items[found.question[of_question]]
    reached: list[list[int] | None] = [None] * n
    whole = found.contained >= limits.contained
    kind[found.overlap >= limits.overlap] = KINDS.index(PART)
    kind[whole] = np.where(found.contained[whole] == 1.0, 0, 2)
    several: dict[int, list[int]] = {}
    for at in near.best().tolist():
        document = int(near.document[at])
        mine = int(index.near_items[near.question[at]])
        first = document not in several
        here = several.setdefault(document, [])
        if near.counts[at]:
            here.append(mine)
        if not first:
            continue
        matched[document], numbers[document] = near.share[at], near.numbers[at]
        if near.counts[at] or kind[document] < 0:
            kind[document] = near.kind[at]
        if near.counts[at] or item[document] < 0:
            item[document] = mine
    for document in np.flatnonzero(item >= 0).tolist():
        here = several.get(document, [])
        also = [int(item[document])] if whole[document] or found.overlap[document] >= limits.overlap else []
        reached[document] = list(dict.fromkeys(here + also))
    known = pa.array(item, mask=item < 0)
    return {
        "hits": found.hits.astype(np.int32),
        "overlap": found.overlap,
        "contained": found.contained,
        "matched": matched,
        "numbers": pa.array(numbers, mask=np.isnan(numbers)),
        "match": pa.array(KINDS, pa.string()).take(pa.array(kind, mask=kind < 0)),
        "benchmark": pa.array(index.benchmark, pa.string()).take(known),
        "item": pa.array(index.item, pa.string()).take(known),
        "items": _names(index.item, reached),
        "item_benchmarks": _names(index.benchmark, reached),
    }


def _names(names: list[str], of: list[list[int] | None]) -> pa.Array:
    """Lists of names, null where there is none."""
    found = [None if some is None else [names[item] for item in some] for some in of]
    return pa.array(found, pa.list_(pa.string()))
