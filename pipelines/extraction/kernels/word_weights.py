"""Words that tell content from the rest: weights by hashes of words, and what an element's names weigh."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.tags import name_hash
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at, four_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


class WordWeights(NamedTuple):
    """An open-addressing table of 2**k slots; key 0 is an empty one."""

    keys: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]


def word_weights(weights: Mapping[str, float]) -> WordWeights:
    """The table of words in lower case (ASCII letters and digits). Raises ValueError where two collide."""
    size = 1 << max(4, (4 * len(weights)).bit_length())
    keys, values = np.zeros(size, np.uint32), np.zeros(size, np.float32)
    for word, weight in sorted(weights.items()):
        slot = name_hash(word) & (size - 1)
        while keys[slot] not in (0, name_hash(word)):
            slot = (slot + 1) & (size - 1)
        if keys[slot]:
            raise ValueError(f"the hash of the word {word!r} is that of another word")
        keys[slot], values[slot] = name_hash(word), weight
    return WordWeights(keys, values)


@compiled
def slot_of(keys: int, last: int, word: int) -> int:  # pragma: no cover - compiled
    """The slot of the word with this hash, an empty one if there is none, whose value is 0.

    `keys` is the address of the table's keys, `last` its last slot.
    """
    slot = word & last
    key = four_at(keys + 4 * slot)
    while key != 0 and key != word:
        slot = (slot + 1) & last
        key = four_at(keys + 4 * slot)
    return slot


@compiled
def weigh_names(
    data: npt.NDArray[np.uint8], names: npt.NDArray[np.int32], weights: WordWeights
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """(weight, look) of every element by its `class` and `id`, whose bytes `names` int32[m, 4] gives.

    `weight`: the sum over their words, which are runs of letters, parted also where a capital follows a small
    letter. `look`: a hash of `class` without its digits: elements of one kind share it.
    """
    m = len(names)
    at = address(data)
    keys, values, last = address(weights.keys), weights.values, len(weights.keys) - 1
    weight, look = np.zeros(m, np.float32), np.zeros(m, np.int64)
    for e in range(m):
        for column in (0, 2):
            word, length, small_before = 2166136261, 0, False
            for place in range(at + names[e, column], at + names[e, column + 1]):
                c = byte_at(place)
                small = bool(97 <= c <= 122)
                capital = bool(65 <= c <= 90)
                if column == 0 and not 48 <= c <= 57:
                    look[e] = ((look[e] ^ c) * 16777619) & 0xFFFFFFFF
                if length > 0 and (not (small or capital) or (capital and small_before)):
                    weight[e] += float(values[slot_of(keys, last, word)])
                    word, length = 2166136261, 0
                if small or capital:
                    word, length = ((word ^ (c | 32)) * 16777619) & 0xFFFFFFFF, length + 1
                small_before = small
            if length > 0:
                weight[e] += float(values[slot_of(keys, last, word)])
    return weight, look
