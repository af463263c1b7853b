"""Scores of fastText's classifiers over texts: hashed words, their n-grams and their parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.memory import address, byte_at, four_at

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_MASK = 0xFFFF_FFFF
_START, _PRIME = 2_166_136_261, 16_777_619
_NGRAM = np.uint64(116_049_371)
_FINAL = 0
for _byte in b"</s>":
    _FINAL = ((_FINAL or _START) ^ _byte) * _PRIME & _MASK
_LABEL = tuple(b"__label__")


class Dictionary(NamedTuple):
    """Word i is `data[starts[i]:starts[i + 1]]`; `slots` is a table of 2^k places, word numbers or -1."""

    starts: Integers
    data: Bytes
    slots: Integers


@compiled
def project(block: Floats, vectors: Floats) -> Floats:
    """float32[k, labels]: products of rows and vectors, summed in float64 from the first number on."""
    out = np.empty((block.shape[0], vectors.shape[0]), np.float32)
    for i in range(block.shape[0]):
        for label in range(vectors.shape[0]):
            total = 0.0
            for k in range(block.shape[1]):
                total += float(block[i, k]) * float(vectors[label, k])
            out[i, label] = total
    return out


@forced
def _hash_on(value: int, byte: int) -> int:
    """FNV-1a of 32 bits as fastText has it: bytes are signed."""
    return ((value ^ (byte | 0xFFFF_FF00 if byte >= 0x80 else byte)) * _PRIME) & _MASK


@compiled
def _hash(at: int, end: int) -> int:
    value = integer(_START)
    while at < end:
        value = _hash_on(value, byte_at(at))
        at += 1
    return value


@compiled
def dictionary(starts: Integers, data: Bytes) -> Dictionary:
    """The table of words."""
    n = len(starts) - 1
    size = 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int64)
    base = address(data)
    for word in range(n):
        slot = _hash(base + starts[word], base + starts[word + 1]) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = word
    return Dictionary(starts, data, slots)


@compiled
def _find(at: int, end: int, value: int, words: Dictionary) -> int:
    """The number of a word, or -1."""
    mask = len(words.slots) - 1
    slot = value & mask
    base = address(words.data)
    while words.slots[slot] >= 0:
        word = words.slots[slot]
        first, size = base + words.starts[word], words.starts[word + 1] - words.starts[word]
        if size == end - at:
            same = True
            for k in range(size):
                if byte_at(first + k) != byte_at(at + k):
                    same = False
                    break
            if same:
                return int(word)
        slot = (slot + 1) & mask
    return -1


@forced
def _is_space(byte: int) -> bool:
    return byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0


@forced
def _byte_of(at: int, end: int, place: int) -> int:
    """A byte of `<word>`: place -1 is `<`, the place behind the word is `>`."""
    return 0x3C if place < at else 0x3E if place >= end else byte_at(place)


@compiled
def _add_parts(
    at: int,
    end: int,
    least: int,
    most: int,
    first_row: int,
    buckets: int,
    rows: Floats,
    sums: npt.NDArray[np.float64],
) -> int:
    """Add the rows of all n-grams of characters of `<word>`; how many."""
    count = 0
    for start in range(at - 1, end + 1):
        if (_byte_of(at, end, start) & 0xC0) == 0x80:
            continue
        value, place = integer(_START), start
        for n in range(1, most + 1):
            if place > end:
                break
            value = _hash_on(value, _byte_of(at, end, place))
            place += 1
            while place <= end and (_byte_of(at, end, place) & 0xC0) == 0x80:
                value = _hash_on(value, _byte_of(at, end, place))
                place += 1
            if n >= least and not (n == 1 and (start == at - 1 or place == end + 1)):
                row = first_row + value % buckets
                for label in range(len(sums)):
                    sums[label] += rows[row, label]
                count += 1
    return count


@compiled
def label_sums(
    offsets: Integers,
    data: Bytes,
    words: Dictionary,
    rows: Floats,
    end_row: int,
    ngrams: int,
    least: int,
    most: int,
    buckets: int,
) -> tuple[npt.NDArray[np.float64], Integers]:
    """Means of rows float64[n, labels] of texts, and how many rows each has, int64[n].

    Words are what stands between white space of ASCII and NULs; `__label__...` is none. `end_row` is the row
    of the token that ends a line, which every text has once, or -1.
    """
    n, labels = len(offsets) - 1, rows.shape[1]
    out, counts = np.zeros((n, labels)), np.zeros(n, np.int64)
    base, many = address(data), len(words.starts) - 1
    sums = np.zeros(labels)
    window = np.zeros(ngrams, np.uint64)
    for i in range(n):
        at, end = base + offsets[i], base + offsets[i + 1]
        sums[:] = 0
        count = held = 0
        finished = False
        while not finished:
            while at < end and _is_space(byte_at(at)):
                at += 1
            start = at
            while at < end and not _is_space(byte_at(at)):
                at += 1
            finished = start == at or _is_end(start, at)
            value = _FINAL if finished else _hash(start, at)
            word = end_row if finished else _find(start, at, value, words)
            if word < 0 and not finished and _is_label(start, at):
                continue
            if word >= 0:
                for label in range(labels):
                    sums[label] += rows[word, label]
                count += 1
            if most > 0 and buckets > 0 and not finished:
                count += _add_parts(start, at, least, most, many, buckets, rows, sums)
            if ngrams > 1 and buckets > 0:
                # Each n-gram is added when its last word is read, from the nearest word back; hashes of words
                # are signed where n-grams are made of them.
                signed = np.uint64(value - (1 << 32) if value >= 1 << 31 else value)
                for k in range(held):
                    window[k] = window[k] * _NGRAM + signed
                    row = many + integer(window[k] % np.uint64(buckets))
                    for label in range(labels):
                        sums[label] += rows[row, label]
                    count += 1
                for k in range(min(held, ngrams - 2), 0, -1):
                    window[k] = window[k - 1]
                window[0] = signed
                held = min(held + 1, ngrams - 1)
        counts[i] = count
        for label in range(labels):
            out[i, label] = sums[label] / max(count, 1)
    return out, counts


@forced
def _is_end(at: int, end: int) -> bool:
    """Whether the word is `</s>`, which ends a line."""
    return end - at == 4 and four_at(at) == 0x3E732F3C


@forced
def _is_label(at: int, end: int) -> bool:
    if end - at < len(_LABEL):
        return False
    for k in range(len(_LABEL)):  # noqa: SIM110
        if byte_at(at + k) != _LABEL[k]:
            return False
    return True
