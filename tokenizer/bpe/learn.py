"""Byte-pair encoding's merges from counted pre-tokens (Sennrich et al. 2016, "Neural Machine Translation of
Rare Words with Subword Units", algorithm 1), merge by merge those of `tokenizers`' BpeTrainer.

What is merged next is the pair of the highest count; of equal counts the pair whose left token is the
older, then whose right one is. Bytes come first, in GPT-2's order. A merge goes through each word from left
to right.

`tokenizers` (0.23, models/bpe/trainer.rs) provides for a merge that spells a token there is already, for
candidates of one pair that arose at different times, and for counts that grow. None of them ever happens,
and so they are not here. For two stretches of text that hold the same bytes, and begin and end where tokens
do, hold the same tokens at any time: at first these are the bytes; and what a merge does within such a
stretch depends on its tokens alone, as it goes from left to right and no merge crosses the beginning. Now
were a pair merged to what an older token spells, then its bytes stood between the same bounds when that
token was made, and would be that token since. So every result is new. A pair arises only in the merge that
makes the younger of its tokens, has one candidate, and is counted down from then on. Once under
`min_frequency` it can be forgotten.

As there, `max_token_bytes` is compared by "less than" with the length of two neighbours together when a merge
makes them neighbours, while two single bytes may always be merged: tokens stay shorter, but for those of two
bytes.

It differs in two things. Counts are 64-bit, so that a pair counted more than 2**31 - 1 times is counted
right. And special tokens are unknown here: one that a merge could spell (of visible ASCII, or of bytes'
characters alone) would there lend its id to the merge's result.

Cost: proportional to the occurrences merged in distinct pre-tokens, whatever their counts; a pre-token of
millions of bytes costs like as many short ones (`kernels/word_segments.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.byte_characters import CHARACTERS

LARGEST_WORDS = 2**31 - 1  # elements of the flat array of words, which int32 places point into


@dataclass(frozen=True)
class Learned:
    """The merges of a training, m of them.

    pairs: int32[m, 2], left and right token. Tokens 0..255 are the bytes in GPT-2's order (`byte_ranks`), and
        256 + i is the result of merge i.
    results: int32[m], the token each merge gives: 256 + i.
    saved: int64[m], symbols fewer after the merge in the training counts (occurrences times count). Their
        running sum gives the compression of every smaller vocabulary.
    tokens: the bytes of every result, in order.
    """

    pairs: npt.NDArray[np.int32]
    results: npt.NDArray[np.int32]
    saved: npt.NDArray[np.int64]
    tokens: list[bytes]

    def last_of_each(self) -> npt.NDArray[np.int64]:
        """Indices of the merges that a model holds: of all, as no pair is merged twice."""
        return np.arange(len(self.results))


def byte_ranks() -> npt.NDArray[np.int32]:
    """The token of every byte, int32[256]: its rank by the code point of the character it is shown as."""
    code_points = [ord(character) for character in CHARACTERS.values()]
    return np.argsort(np.argsort(code_points)).astype(np.int32)


def learn_merges(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    *,
    entries: int,
    min_frequency: int = 2,
    max_token_bytes: int | None = None,
) -> Learned:
    """Learn at most `entries` new tokens from pre-tokens, raw bytes, and how often each occurs.

    Pre-token i is `data[offsets[i] : offsets[i + 1]]`, offsets int64[n + 1], data uint8, counts int64[n],
    each at least 1. The order of the pre-tokens does not matter, nor whether one is listed twice. Pairs
    counted less than `min_frequency` times are not merged. `max_token_bytes`: see the module; None means
    no limit.

    Raises ValueError for counts under 1 or whose occurrences overflow, and for pre-tokens of 2 GiB and more.
    """
    from corpusmill.tokenizer.kernels.merge_pairs import learn
    from corpusmill.tokenizer.kernels.word_segments import segments_length, write_segments

    offsets = np.ascontiguousarray(offsets, np.int64)
    data = np.ascontiguousarray(data, np.uint8)
    counts = np.ascontiguousarray(counts, np.int64)
    if len(offsets) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} offsets, not {len(offsets)}")
    if len(counts) and counts.min() < 1:
        raise ValueError("a pre-token with a count under 1; leave it out")
    if float(np.dot(np.diff(offsets).astype(np.float64), counts)) > 2.0**62:
        raise ValueError("the pre-tokens hold more bytes, times their counts, than 64 bits can count")
    length = int(segments_length(offsets))
    if length > LARGEST_WORDS:
        raise ValueError(
            f"{length} elements are needed for the distinct pre-tokens, more than {LARGEST_WORDS}; sample "
            "fewer bytes, or only the most frequent pre-tokens"
        )
    ranks = byte_ranks()
    flat = write_segments(offsets, data, counts, ranks, length)
    unlimited = np.iinfo(np.int64).max
    limit = unlimited if max_token_bytes is None else max_token_bytes
    pairs, saved = learn(flat, max(0, entries), max(1, min_frequency), limit)
    tokens = [bytes([byte]) for byte in np.argsort(ranks).tolist()]
    for left, right in pairs.tolist():
        tokens.append(tokens[left] + tokens[right])
    return Learned(pairs.copy(), np.arange(256, len(tokens), dtype=np.int32), saved.copy(), tokens[256:])
