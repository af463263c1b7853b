"""Compression against vocabulary size, from one training: what every prefix of the merge list would give.

The tokens of a text at any prefix follow from its tokens at the whole list (`kernels.replay_merges` says
why), so no text is encoded again: each entry is replayed once, and a group of texts is one weighted sum over
the entries it uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.records.tokenizer_figures import Growth
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary

POINTS = 60  # sizes at which growth is told
FINEST = 1024  # the smallest size shown, where there are as many: below, curves are mostly bytes


@dataclass(frozen=True)
class Replay:
    """The merges every entry is made by.

    `steps` int64[...] holds, one entry after the other from `starts[t]` (int64[V + 1]) on, at which prefix of
    the list (0-based, so that prefix k + 1 is the first with it) each merge first happens; `pieces` int64[V]
    how many symbols an entry ends as (0 for ids without an entry). That is 1 but for entries no merges lead
    to; such a one occurs only where pre-tokens that are entries are taken whole (`ignore_merges`), and then
    from `first_made[t]` (int64[V], -1: never), the first merge in the list that makes it, on. `sizes`
    int64[m + 1] is the number of ids in a tokenizer of the first k merges, added tokens included.
    """

    starts: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]
    first_made: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    def tokens(self, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How many tokens texts have at every prefix, float64[m + 1], given `counts` float64[V] of theirs.

        Exact where counts are whole numbers (below 2**53); they may be weighted.

        Raises ValueError where it uses an entry that nothing in the list makes.
        """
        lost = (counts > 0) & ((self.pieces == 0) | ((self.pieces > 1) & (self.first_made < 0)))
        if lost.any():
            raise ValueError(f"{int(lost.sum())} tokens of the texts are not made by merges")
        lengths = np.diff(self.starts)
        owner = np.repeat(np.arange(len(counts)), lengths)
        whole_from = np.where(self.pieces > 1, self.first_made, np.int64(2**62))
        made = (self.steps >= 0) & (self.steps < whole_from[owner]) & (counts[owner] > 0)
        uses = np.zeros(len(self.sizes), np.float64)
        np.add.at(uses, self.steps[made] + 1, counts[owner[made]])
        # An entry taken whole saves, from its first merge on, all that its own merges had not yet saved.
        for token in np.flatnonzero((self.pieces > 1) & (counts > 0)):
            saved = np.count_nonzero(made[self.starts[token] : self.starts[token + 1]])
            uses[self.first_made[token] + 1] += counts[token] * (lengths[token] - 1 - saved)
        return np.asarray(float(counts @ lengths) - np.cumsum(uses), np.float64)


def replay(vocabulary: Vocabulary) -> Replay:
    """Replay every entry of a byte-level vocabulary; ValueError for any other, or for a merge of no entry."""
    from corpusmill.tokenizer.kernels.replay_merges import replay_merges

    if vocabulary.family != "byte-level":
        raise ValueError("merges do not begin with bytes")
    entries = vocabulary.entries
    try:
        pairs = np.array([(entries[a], entries[b]) for a, b in vocabulary.merges], np.int64).reshape(-1, 2)
        results = np.array([entries[a + b] for a, b in vocabulary.merges], np.int64)
        first = np.array([entries[character] for character in CHARACTERS.values()], np.int64)
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no entry of the vocabulary") from error
    keys = (pairs[:, 0].astype(np.uint64) << np.uint64(32)) | pairs[:, 1].astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    literal = set(vocabulary.added.values())
    words = [
        spelling if spelling is not None and index not in literal else b""
        for index, spelling in enumerate(vocabulary.spellings)
    ]
    held = np.array([index for index, word in enumerate(words) if word], np.int64)
    offsets = _ends([len(words[index]) for index in held])
    data = np.frombuffer(b"".join(words), np.uint8)
    steps = np.empty(len(data), np.int64)
    made = np.zeros(len(held), np.int64)
    replay_merges(offsets, data, first, keys[order], order.astype(np.int64), results[order], steps, made)
    pieces = np.zeros(len(words), np.int64)
    pieces[held] = made
    made_by = np.full(len(words), -1, np.int64)
    made_by[results[::-1]] = np.arange(len(results))[::-1]
    return Replay(_ends([len(word) for word in words]), steps, pieces, made_by, _sizes(vocabulary, results))


def _ends(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _sizes(vocabulary: Vocabulary, results: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ids in use after each merge: a merge that makes an entry again, or one there was, adds none."""
    new = np.zeros(len(results) + 1, np.int64)
    _, firsts = np.unique(results, return_index=True)
    new[firsts + 1] = 1
    everything = sum(spelling is not None for spelling in vocabulary.spellings) + sum(
        vocabulary.spellings[index] is None for index in vocabulary.added.values()
    )
    return everything - int(new.sum()) + np.cumsum(new)


def growth(
    vocabulary: Vocabulary, counts: Mapping[str, npt.NDArray[np.float64]], sizes: Mapping[str, float]
) -> Growth:
    """Bytes per token at about POINTS vocabulary sizes for each group, in a ratio of about equal steps.

    `counts` float64[V] are the tokens of each group and `sizes` its bytes. Where growth cannot be told,
    `why_not` says why and `groups` is empty.
    """
    if len(vocabulary.merges) == 0:
        return Growth("the tokenizer has no merges", (), {})
    try:
        made = replay(vocabulary)
        tokens = {name: made.tokens(held) for name, held in counts.items()}
    except ValueError as error:
        return Growth(str(error), (), {})
    smallest, largest = int(made.sizes[0]), int(made.sizes[-1])
    low = FINEST if largest >= 4 * FINEST else smallest
    wanted = np.unique(np.geomspace(max(low, smallest), largest, POINTS).round().astype(np.int64))
    # The longest prefix of each size, so that merges that add no entry are not held back.
    at = np.searchsorted(made.sizes, wanted, side="right") - 1
    curves = {name: _curve(sizes[name], held[at]) for name, held in tokens.items() if sizes[name]}
    return Growth(None, tuple(made.sizes[at].tolist()), curves)


def _curve(size: float, tokens: npt.NDArray[Any]) -> tuple[float, ...]:
    return tuple(round(float(size / count), 6) for count in tokens.tolist())
