"""A linear classifier over hashed words and their n-grams: sums of weights, and the descent that trains them.

Words. ASCII letters and digits, and all characters that are not named below, make words; ASCII capitals are
taken as small letters and every digit as 0. A run of ASCII punctuation is a word. Characters of scripts
written without spaces (Han, Kana, Thai, Lao, Khmer, Burmese), of U+0080 to U+00BF, U+2000 to U+3FFF, U+F000
to U+FFFF and beyond U+FFFF are a word each. ASCII control characters and spaces divide words.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.memory import address, byte_at

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint32]
Window = npt.NDArray[np.uint64]

LETTER, PUNCTUATION, SPACE, ALONE = 0, 1, 2, 3
PRIME = np.uint64(0x100000001B3)
START = np.uint64(0xCBF29CE484222325)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_NGRAM = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_CHUNK = 4096
_EPSILON = 1e-12


def _tables() -> tuple[Bytes, Bytes]:
    """What kind of word each byte begins or belongs to, and the byte that is hashed for it."""
    kinds, folded = np.zeros(256, np.uint8), np.arange(256, dtype=np.uint8)
    for byte in range(128):
        if byte <= 0x20 or byte == 0x7F:
            kinds[byte] = SPACE
        elif not chr(byte).isalnum():
            kinds[byte] = PUNCTUATION
        folded[byte] = ord("0") if chr(byte).isdigit() else ord(chr(byte).lower())
    for byte in (0xC2, 0xE2, *range(0xE3, 0xEA), *range(0xEF, 0xF5)):
        kinds[byte] = ALONE
    return kinds, folded


KINDS, FOLDED = _tables()


class Found(NamedTuple):
    """Where reading stopped, how many places were written, and how many words the window holds."""

    at: int
    written: int
    held: int


@forced
def kind_at(at: int, end: int) -> int:
    """Which kind of word the character at `at` is of."""
    byte = byte_at(at)
    if (byte == 0xE0 or byte == 0xE1) and at + 1 < end:
        second = byte_at(at + 1)
        if byte == 0xE0 and 0xB8 <= second <= 0xBB:
            return ALONE
        if byte == 0xE1 and (0x80 <= second <= 0x82 or 0x9E <= second <= 0x9F):
            return ALONE
    return integer(KINDS[byte])


@forced
def behind(at: int, end: int) -> int:
    """Where the character that begins at `at` ends."""
    at += 1
    while at < end and (byte_at(at) & 0xC0) == 0x80:
        at += 1
    return at


@forced
def mixed(value: np.uint64) -> np.uint64:
    """A hash of a hash, in which every bit counts."""
    value = (value ^ (value >> _HALF)) * _MIX
    return value ^ (value >> _HALF)


@compiled
def _read(at: int, end: int, ngrams: int, shift: np.uint64, window: Window, held: int, out: Places) -> Found:
    """The places of words and n-grams from `at` on, until `out` might not hold those of one more word."""
    count = 0
    most = len(out) - ngrams
    while at < end and count <= most:
        kind = kind_at(at, end)
        if kind == SPACE:
            at += 1
            continue
        value = START
        if kind == ALONE:
            stop = behind(at, end)
            while at < stop:
                value = (value ^ np.uint64(byte_at(at))) * PRIME
                at += 1
        else:
            while at < end and kind_at(at, end) == kind:
                value = (value ^ np.uint64(FOLDED[byte_at(at)])) * PRIME
                at += 1
        value = mixed(value)
        out[count] = value >> shift
        count += 1
        for k in range(held):
            window[k] = mixed(window[k] * _NGRAM + value)
            out[count] = window[k] >> shift
            count += 1
        for k in range(min(held, ngrams - 2), 0, -1):
            window[k] = window[k - 1]
        if ngrams > 1:
            window[0] = value
            held = min(held + 1, ngrams - 1)
    return Found(at, count, held)


@compiled
def places(text: Bytes, ngrams: int, bits: int) -> Places:
    """uint32[k]: the places of the words and n-grams of one text among 2^bits, in order."""
    out = np.empty(len(text) * ngrams + ngrams, np.uint32)
    window = np.zeros(max(ngrams - 1, 1), np.uint64)
    base = address(text)
    found = _read(base, base + len(text), ngrams, np.uint64(64 - bits), window, 0, out)
    return out[: found.written]


@compiled
def weight_means(
    offsets: Integers, data: Bytes, weights: Weights, ngrams: int, bits: int
) -> tuple[npt.NDArray[np.float64], Integers]:
    """Means of the weights of each text's words and n-grams, float64[n], and how many it has, int64[n].

    `weights` float32[2^bits]; n-grams have 1 to `ngrams` words. Memory: 16 KiB besides.
    """
    n = len(offsets) - 1
    means, counts = np.zeros(n), np.zeros(n, np.int64)
    out, window = np.empty(_CHUNK, np.uint32), np.zeros(max(ngrams - 1, 1), np.uint64)
    shift, base = np.uint64(64 - bits), address(data)
    for i in range(n):
        at, end = base + offsets[i], base + offsets[i + 1]
        held = count = 0
        total = 0.0
        while at < end:
            found = _read(at, end, ngrams, shift, window, held, out)
            at, held = found.at, found.held
            for k in range(found.written):
                total += weights[out[k]]
            count += found.written
        counts[i] = count
        means[i] = total / max(count, 1)
    return means, counts


@compiled
def descend(
    offsets: Integers,
    data: Bytes,
    order: Integers,
    wanted: npt.NDArray[np.bool_],
    weighs: npt.NDArray[np.float64],
    weights: Weights,
    squares: Weights,
    bias: npt.NDArray[np.float64],
    ngrams: int,
    bits: int,
    rates: npt.NDArray[np.float64],
) -> float:
    """One pass of AdaGrad on the logistic loss over the texts in `order`; the mean loss before each step.

    `wanted` bool[n] and `weighs` float64[n]: which texts are positive, and how much each counts. Changes
    `weights` and `squares`, float32[2^bits], and `bias`, float64[2]: the bias and its square. `rates`
    float64[len(order)] is the learning rate of each step. Texts without words are passed over.
    """
    out, window = np.empty(_CHUNK, np.uint32), np.zeros(max(ngrams - 1, 1), np.uint64)
    shift, base = np.uint64(64 - bits), address(data)
    loss = seen = 0.0
    for step in range(len(order)):
        i = order[step]
        size = (offsets[i + 1] - offsets[i] + 1) * ngrams
        if size > len(out):
            out = np.empty(2 * size, np.uint32)
        found = _read(base + offsets[i], base + offsets[i + 1], ngrams, shift, window, 0, out)
        if found.written == 0:
            continue
        total = 0.0
        for k in range(found.written):
            total += weights[out[k]]
        margin = bias[0] + total / found.written
        chance = 1.0 / (1.0 + math.exp(-margin))
        slope = weighs[i] * (chance - 1.0 if wanted[i] else chance)
        loss += weighs[i] * math.log1p(math.exp(-margin if wanted[i] else margin))
        seen += weighs[i]
        bias[1] += slope * slope
        bias[0] -= rates[step] * slope / math.sqrt(bias[1] + _EPSILON)
        part = slope / found.written
        square = part * part
        for k in range(found.written):
            place = out[k]
            squares[place] += square
            weights[place] -= rates[step] * part / math.sqrt(squares[place] + _EPSILON)
    return loss / seen if seen > 0 else 0.0
