"""A language model of word n-grams by interpolated Kneser-Ney smoothing, from the words of texts.

Definition (Kneser and Ney 1995; Chen and Goodman 1998, equation 24; one discount an order, Ney et al. 1994):

    P(w | h) = max(a(hw) - D, 0) / A(h) + D * N(h) / A(h) * P(w | h')

where h' is h without its first word, A(h) the sum of a(hw) over w, N(h) how many different w stand behind h,
and D = n1 / (n1 + 2 * n2) from the numbers of n-grams of this length with an a of 1 and 2. For the longest
n-grams, and those that begin a line, a counts how often an n-gram stands in the texts; for others how many
different words stand before it. Below the single words is the uniform distribution over all that can follow:
known words, END and UNKNOWN.

A word of fewer than `least` occurrences is UNKNOWN. So its probability is learnt from rare words, and it is
spread evenly over as many as there were: an unknown word of a text costs log10 of their number more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NEVER = -99.0  # log10 of what is never predicted, as in ARPA files


@dataclass(frozen=True)
class Estimated:
    """The model of one language: `keys` uint64[n], sorted, and `values` float32[n, 2], log10 of probability
    and backoff weight; how many words are known, how many rare ones were taken for UNKNOWN, and how many
    words and ends of lines it was trained on."""

    keys: Keys
    values: npt.NDArray[np.float32]
    known: int
    rare: int
    predicted: int


@dataclass(frozen=True)
class _Level:
    """N-grams of one length, by key: `contexts` (what stands before the last word) and `shorter` (what is
    left without the first) are keys, 0 for nothing; `counts` are the a(.)."""

    keys: Keys
    contexts: Keys
    shorter: Keys
    counts: Integers


def estimate(hashes: Keys, seed: int, order: int, least: int) -> Estimated:
    """The model of the words of texts (`kernels/language_model.line_words`), n-grams of up to `order` words.

    `seed`: of the language, which its keys are made with. Memory: about 50 bytes a word and order.
    """
    from corpusmill.filters.kernels.language_model import BEGIN, keys_of

    begins = hashes == np.uint64(BEGIN)
    words, known, rare = _words(hashes, seed, least)
    levels = _levels(words, begins, order)
    outcomes = known + 2
    begin, unknown = keys_of(np.array([BEGIN], np.uint64), np.uint64(seed)), _unknown(seed)
    keys: list[Keys] = []
    values: list[Floats] = []
    below: Floats = np.full(len(levels[0].keys), 1 / outcomes)
    for at, level in enumerate(levels):
        if at > 0:
            below = values[-1][np.searchsorted(keys[-1], level.shorter), 0]
        chances, contexts, weights = _smoothed(level, below)
        here, numbers = level.keys, np.column_stack([chances, np.ones(len(chances))])
        if at == 0:
            here = np.concatenate([here, begin, unknown[: int(unknown[0] not in here)]])
            more = [[0.0, 1.0], [float(weights[0]) / outcomes, 1.0]]
            numbers = np.concatenate([numbers, more[: len(here) - len(chances)]])
            order_here = np.argsort(here)
            here, numbers = here[order_here], numbers[order_here]
        else:
            values[-1][np.searchsorted(keys[-1], contexts), 1] = weights
        keys.append(here)
        values.append(numbers)
    return _table(keys, values, known, rare, int((~begins).sum()))


def _unknown(seed: int) -> Keys:
    from corpusmill.filters.kernels.language_model import UNKNOWN, keys_of

    return np.asarray(keys_of(np.array([UNKNOWN], np.uint64), np.uint64(seed)))


def _words(hashes: Keys, seed: int, least: int) -> tuple[Keys, int, int]:
    """The key of each word, rare ones as UNKNOWN; how many words are known, and how many rare."""
    from corpusmill.filters.kernels.language_model import UNKNOWN, keys_of

    different, places, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rare = (counts < least) & (different > UNKNOWN)
    replaced = np.where(rare, np.uint64(UNKNOWN), different)
    marks = int((different <= UNKNOWN).sum())
    keys = np.asarray(keys_of(replaced, np.uint64(seed)))[places]
    return keys, len(different) - marks - int(rare.sum()), int(rare.sum())


def _levels(words: Keys, begins: npt.NDArray[np.bool_], order: int) -> list[_Level]:
    from corpusmill.filters.kernels.language_model import longer_keys

    n = len(words)
    place = np.arange(n) - np.maximum.accumulate(np.where(begins, np.arange(n), 0))
    found: list[tuple[_Level, npt.NDArray[np.bool_]]] = []
    keys, before = words, np.zeros(n, np.uint64)
    for length in range(1, order + 1):
        valid = np.flatnonzero((place >= length - 1) & ~begins)
        shorter = np.zeros(n, np.uint64)
        if length > 1:
            shorter = keys
            contexts = np.concatenate([np.zeros(1, np.uint64), keys[:-1]])
            first = np.concatenate([np.zeros(length - 1, np.uint64), words[: n - length + 1]])
            keys = np.asarray(longer_keys(keys, first))
        else:
            contexts = before
        here, at, counts = np.unique(keys[valid], return_index=True, return_counts=True)
        rows = valid[at]
        level = _Level(here, contexts[rows], shorter[rows], counts)
        found.append((level, (place[rows] == length - 1) & (length > 1)))
    return [
        _adjusted(level, first, found[at + 1][0]) if at + 1 < order else level
        for at, (level, first) in enumerate(found)
    ]


def _adjusted(level: _Level, begins: npt.NDArray[np.bool_], above: _Level) -> _Level:
    """With how many different words stand before each n-gram, for those that do not begin a line."""
    places = np.searchsorted(level.keys, above.shorter)
    counts = np.bincount(places, minlength=len(level.keys))
    return _Level(level.keys, level.contexts, level.shorter, np.where(begins, level.counts, counts))


def _smoothed(level: _Level, below: Floats) -> tuple[Floats, Keys, Floats]:
    """Probabilities of the n-grams; what stands before their last words, and the weights of these."""
    once, twice = int((level.counts == 1).sum()), int((level.counts == 2).sum())
    discount = once / (once + 2 * twice) if once and twice else 0.5
    contexts, places = np.unique(level.contexts, return_inverse=True)
    sums = np.bincount(places, level.counts)
    weights = discount * np.bincount(places) / sums
    return (level.counts - discount) / sums[places] + weights[places] * below, contexts, weights


def _table(keys: list[Keys], values: list[Floats], known: int, rare: int, predicted: int) -> Estimated:
    joined, numbers = np.concatenate(keys), np.concatenate(values)
    with np.errstate(divide="ignore"):
        logs = np.where(numbers > 0, np.log10(numbers), NEVER)
    order = np.argsort(joined, kind="stable")
    return Estimated(joined[order], logs[order].astype(np.float32), known, rare, predicted)
