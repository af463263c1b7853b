"""Log-probabilities of texts under a backoff model of word n-grams, and the words that one is trained on.

A model is a table from 64-bit keys of n-grams to two numbers, as in an ARPA file: the log10 of the
probability of the last word behind the others, and the weight (log10) that an n-gram behind which a word was
never seen passes on to the shorter one. A key is made from the last word back, so that the keys of the
n-grams that end at a word follow from one another. A text is a row of lines, which LF, CR, VT and FF end; a
line begins with BEGIN and has END behind its last word, and blank lines are nothing.

Words are those of `kernels/word_weights.py` (`SPLIT`), or, as in models of KenLM, what stands between white
space of ASCII, byte for byte, and lines end at LF alone (`SPACED`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.word_weights import ALONE, FOLDED, PRIME, START, behind, kind_at, mixed
from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

SPLIT, SPACED = 0, 1
BEGIN, END, UNKNOWN = 1, 2, 3  # hashes of what is no word of a text
_NGRAM = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


class Table(NamedTuple):
    """2^k slots of 16 bytes: a key, 0 where the slot is free, and two float32, as `entries` uint64[2^(k+1)]
    and `numbers`, the same memory as float32[2^(k+2)]."""

    entries: Keys
    numbers: npt.NDArray[np.float32]


class Sums(NamedTuple):
    """Of each text: the sum of log10 probabilities float64[n], what was predicted (words and ends of lines)
    int64[n], and how many words the model does not know int64[n]."""

    logs: Floats
    predicted: Integers
    unknown: Integers


@forced
def _ends_line(byte: int, way: int) -> bool:
    return byte == 0x0A or (way == SPLIT and 0x0A < byte <= 0x0D)


@forced
def _is_gap(byte: int, way: int) -> bool:
    """Whether a byte is neither of a word nor the end of a line."""
    if way == SPACED:
        return byte == 0x20 or byte == 0x09 or 0x0A < byte <= 0x0D
    return (byte <= 0x20 or byte == 0x7F) and not 0x0A <= byte <= 0x0D


@compiled
def _word(at: int, end: int, way: int) -> tuple[Any, int]:
    """Hash of the word at `at`, and where it ends."""
    value = START
    if way == SPACED:
        while at < end and not _is_gap(byte_at(at), way) and not _ends_line(byte_at(at), way):
            value = (value ^ np.uint64(byte_at(at))) * PRIME
            at += 1
        return mixed(value), at
    kind = kind_at(at, end)
    if kind == ALONE:
        stop = behind(at, end)
        while at < stop:
            value = (value ^ np.uint64(byte_at(at))) * PRIME
            at += 1
    else:
        while at < end and kind_at(at, end) == kind:
            value = (value ^ np.uint64(FOLDED[byte_at(at)])) * PRIME
            at += 1
    return mixed(value), at


@forced
def keyed(hashed: Any, seed: Any) -> Any:
    """The key of a single word of a language, never 0."""
    return mixed(hashed ^ seed) | np.uint64(1)


@forced
def longer(key: Any, word: Any) -> Any:
    """The key of an n-gram with one word more in front."""
    return mixed(key * _NGRAM + word) | np.uint64(1)


@compiled
def keys_of(hashes: Keys, seed: Any) -> Keys:
    """uint64[n]: the keys of single words."""
    out = np.empty(len(hashes), np.uint64)
    for k in range(len(hashes)):
        out[k] = keyed(hashes[k], seed)
    return out


@compiled
def longer_keys(keys: Keys, words: Keys) -> Keys:
    """uint64[n]: the keys of n-grams with one word more in front."""
    out = np.empty(len(keys), np.uint64)
    for k in range(len(keys)):
        out[k] = longer(keys[k], words[k])
    return out


@compiled
def line_words(offsets: Integers, data: Bytes, way: int) -> tuple[Keys, Integers]:
    """Hashes of the words of texts, BEGIN before and END behind each line that has any; how many each text
    has."""
    n, base = len(offsets) - 1, address(data)
    counts = np.zeros(n, np.int64)
    out = np.empty(max(16, len(data) // 4), np.uint64)
    filled = 0
    for i in range(n):
        at, end, first, within = base + offsets[i], base + offsets[i + 1], filled, False
        while at <= end:
            if filled + 2 >= len(out):
                grown = np.empty(2 * len(out), np.uint64)
                grown[:filled] = out[:filled]
                out = grown
            if at == end or _ends_line(byte_at(at), way):
                if within:
                    out[filled] = np.uint64(END)
                    filled += 1
                within = False
                at += 1
            elif _is_gap(byte_at(at), way):
                at += 1
            else:
                if not within:
                    out[filled] = np.uint64(BEGIN)
                    filled += 1
                    within = True
                out[filled], at = _word(at, end, way)
                filled += 1
        counts[i] = filled - first
    return out[:filled], counts


@compiled
def table_of(keys: Keys, values: npt.NDArray[np.float32]) -> Table:
    """The table of different `keys` uint64[n] and their `values` float32[n, 2]."""
    size = 16
    while 2 * size < 3 * len(keys):
        size *= 2
    entries = np.zeros(2 * size, np.uint64)
    numbers = entries.view(np.float32)
    for k in range(len(keys)):
        slot = integer(keys[k] >> _SHIFT) & (size - 1)
        while entries[2 * slot] != 0:
            slot = (slot + 1) & (size - 1)
        entries[2 * slot] = keys[k]
        numbers[4 * slot + 2] = values[k, 0]
        numbers[4 * slot + 3] = values[k, 1]
    return Table(entries, numbers)


@forced
def _slot(entries: int, mask: int, key: Any) -> int:
    """Where a key stands, or -1."""
    slot = integer(key >> _SHIFT) & mask
    while True:
        found = eight_at(entries + 16 * slot)
        if found == key:
            return slot
        if found == 0:
            return -1
        slot = (slot + 1) & mask


@compiled
def score_texts(
    offsets: Integers, data: Bytes, seeds: Keys, spread: Floats, table: Table, order: int, way: int
) -> Sums:
    """Sums of texts; a text whose seed is 0 is passed over.

    `seeds` uint64[n]: that of the language whose model is asked; `spread` float64[n]: what is added to the
    log-probability of an unknown word. A word that is not in the table is UNKNOWN, also before others.
    """
    n, base = len(offsets) - 1, address(data)
    entries, numbers = address(table.entries), table.numbers
    mask = len(table.entries) // 2 - 1
    logs, predicted, unknown = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    before = np.zeros(order + 1, np.uint64)  # keys of the words before, the nearest first
    weights, fresh = (
        np.zeros(order + 1),
        np.zeros(order + 1),
    )  # backoff weights of what ends there, by length - 1
    for i in range(n):
        seed = seeds[i]
        if seed == 0:
            continue
        unknown_key, end_key = keyed(np.uint64(UNKNOWN), seed), keyed(np.uint64(END), seed)
        begin_key = keyed(np.uint64(BEGIN), seed)
        begin_slot = _slot(entries, mask, begin_key)
        at, end, within, held = base + offsets[i], base + offsets[i + 1], False, 0
        total = 0.0
        while at <= end:
            if at < end and _is_gap(byte_at(at), way):
                at += 1
                continue
            last = at == end or _ends_line(byte_at(at), way)
            if last and not within:
                at += 1
                continue
            if not within:
                within, held = True, 1
                before[0] = begin_key
                weights[0] = numbers[4 * begin_slot + 3] if begin_slot >= 0 else 0.0
            if last:
                key = end_key
                at += 1
                within = False
            else:
                hashed, at = _word(at, end, way)
                key = keyed(hashed, seed)
            slot = _slot(entries, mask, key)
            if slot < 0 and not last:
                key = unknown_key
                slot = _slot(entries, mask, key)
                unknown[i] += 1
                total += spread[i]
            predicted[i] += 1
            word, found, value = key, 0, 0.0
            for length in range(held + 1):
                if length > 0:
                    key = longer(key, before[length - 1])
                    slot = _slot(entries, mask, key)
                if slot < 0:
                    break
                found, value = length + 1, numbers[4 * slot + 2]
                fresh[length] = numbers[4 * slot + 3]
            total += value
            for length in range(max(found, 1), held + 1):
                total += weights[length - 1]
            held = min(found, order - 1)
            for k in range(held - 1, 0, -1):
                before[k] = before[k - 1]
            before[0] = word
            for k in range(held):
                weights[k] = fresh[k]
        logs[i] = total
    return Sums(logs, predicted, unknown)
