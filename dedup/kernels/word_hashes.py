"""Hashes of the words of a text, without where they are: what `words.words` gives, in half its time.

Legend: C characters of a block, W words of a document.

A loop that folds a byte, extends a hash and asks for the end of the word waits for three things in a row: the
table, the multiplication of the byte before, and a branch that nobody can guess. So there are two passes over
blocks that fit into the fastest cache. The first writes folded characters, 0 where a word ends, mostly eight
bytes of ASCII at a time. The second hashes four parts of the block side by side, each begun behind the end of
a word, without a branch: a hash is written at every character, and its place moves on where a word ends.

`words.words` is the definition, and gives the ends of words too: both give the same numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import (
    CODE_POINT,
    DIGIT,
    MULTIPLIER,
    SEPARATOR,
    SINGLE,
    SKIP,
    ZERO_DIGIT,
    Hashes,
    Table,
)
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.memory import byte_at, eight_at
from corpusmill.pipelines.text.kernels.mixing import avalanche

U64 = np.uint64
BLOCK = 4096  # characters
BLOCK_WORDS = BLOCK // 2 + 16  # that may end in a block at most
NOT_ASCII = U64(0x8080808080808080)
END = np.uint32(0)
THINK = np.uint32(0xFFFFFFFF)

Codes = npt.NDArray[np.uint32]


@compiled
def folded_ascii(table: Table, zero_digits: bool | np.bool_) -> Codes:
    """uint32[256]: what each byte becomes, `END` or a character; `THINK` where it alone does not say."""
    ascii_C = np.full(256, THINK, np.uint32)
    for byte in range(128):
        entry = table[byte]
        if entry == SEPARATOR:
            ascii_C[byte] = END
        elif entry != SKIP and not entry & SINGLE and not (zero_digits and entry & DIGIT):
            ascii_C[byte] = entry & CODE_POINT
    return ascii_C


@compiled
def _fold(
    at: int,
    end: int,
    table: Table,
    ascii_C: Codes,
    zero_digits: bool | np.bool_,
    in_number: bool,
    code_C: Codes,
) -> tuple[int, int, bool]:
    """Folded characters of the bytes from address `at` on, `END` between words, until `end` or `BLOCK` are
    written. Returns how many, where to go on, and whether a number goes on there. code_C: `BLOCK` + 16."""
    n = 0
    while at < end and n < BLOCK:
        while not in_number and at + 8 <= end and n < BLOCK:
            if eight_at(at) & NOT_ASCII:
                break
            odd = np.uint32(0)
            for k in range(8):
                code = ascii_C[U64(byte_at(at + k))]
                code_C[U64(n + k)] = code
                odd |= np.uint32(code == THINK)
            if odd:
                break
            n += 8
            at += 8
        if at >= end or n >= BLOCK:
            break
        byte = byte_at(at)
        code, after = code_at(at, end)
        entry = table[code]
        at = after
        if entry == SKIP:
            continue
        if zero_digits:
            if entry & DIGIT:
                if in_number:
                    continue
                in_number = True
                entry = ZERO_DIGIT
            elif in_number:
                if (byte == 44 or byte == 46) and after < end and 48 <= byte_at(after) <= 57:
                    continue
                in_number = False
        if entry & SINGLE:
            code_C[U64(n)] = END
            code_C[U64(n + 1)] = entry & CODE_POINT
            code_C[U64(n + 2)] = END
            n += 3
        else:
            code_C[U64(n)] = entry & CODE_POINT if entry != SEPARATOR else END
            n += 1
    return n, at, in_number


@inlined
def _next(code: np.uint32, h: np.uint64, inside: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Hash and whether it is of a word, after one more character; whether a word ended."""
    more = U64(code != END)
    return ((h ^ U64(code)) * MULTIPLIER) & (U64(0) - more), more, inside & ~more


@inlined
def _behind_end(code_C: Codes, at: int, n: int) -> int:
    """The first place from `at` on that follows the end of a word; n where there is none."""
    while at < n and code_C[U64(at)] != END:
        at += 1
    return min(n, at + 1)


@compiled
def _hash(
    code_C: Codes, n: int, h: np.uint64, inside: np.uint64, raw_W: Hashes, hash_W: Hashes, count: int
) -> tuple[int, np.uint64, np.uint64]:
    """Hashes of the words that end among code_C[:n] into `hash_W` from `count` on, h and `inside` being those
    of a word that began before. Returns their number with `count`, and h and `inside` at the end."""
    part = n // 4
    first = _behind_end(code_C, part, n)
    second = _behind_end(code_C, max(first, 2 * part), n)
    third = _behind_end(code_C, max(second, 3 * part), n)
    room = BLOCK_WORDS
    p0, p1, p2, p3 = U64(0), U64(first), U64(second), U64(third)
    w0, w1, w2, w3 = U64(0), U64(room), U64(2 * room), U64(3 * room)
    h0, i0 = h, inside
    h1 = h2 = h3 = i1 = i2 = i3 = U64(0)
    for _ in range(min(first, second - first, third - second, n - third)):
        raw_W[w0] = h0
        raw_W[w1] = h1
        raw_W[w2] = h2
        raw_W[w3] = h3
        h0, i0, e0 = _next(code_C[p0], h0, i0)
        h1, i1, e1 = _next(code_C[p1], h1, i1)
        h2, i2, e2 = _next(code_C[p2], h2, i2)
        h3, i3, e3 = _next(code_C[p3], h3, i3)
        w0, w1, w2, w3 = w0 + e0, w1 + e1, w2 + e2, w3 + e3
        p0, p1, p2, p3 = p0 + U64(1), p1 + U64(1), p2 + U64(1), p3 + U64(1)
    h0, i0, w0 = _rest(code_C, p0, U64(first), h0, i0, raw_W, w0)
    h1, i1, w1 = _rest(code_C, p1, U64(second), h1, i1, raw_W, w1)
    h2, i2, w2 = _rest(code_C, p2, U64(third), h2, i2, raw_W, w2)
    h3, i3, w3 = _rest(code_C, p3, U64(n), h3, i3, raw_W, w3)
    count = _mixed(raw_W, 0, int(w0), hash_W, count)
    count = _mixed(raw_W, room, int(w1), hash_W, count)
    count = _mixed(raw_W, 2 * room, int(w2), hash_W, count)
    count = _mixed(raw_W, 3 * room, int(w3), hash_W, count)
    if third < n:
        return count, h3, i3
    if second < third:  # these parts end behind the end of a word, or with the block
        return count, h2, i2
    if first < second:
        return count, h1, i1
    return count, h0, i0


@inlined
def _rest(
    code_C: Codes, at: np.uint64, end: np.uint64, h: np.uint64, inside: np.uint64, raw_W: Hashes, w: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """What `_hash` does of one part alone."""
    while at < end:
        raw_W[w] = h
        h, inside, ended = _next(code_C[at], h, inside)
        w += ended
        at += U64(1)
    return h, inside, w


@inlined
def _mixed(raw_W: Hashes, first: int, end: int, hash_W: Hashes, count: int) -> int:
    """Words of a part to where they belong."""
    for w in range(first, end):
        hash_W[U64(count)] = avalanche(raw_W[U64(w)])
        count += 1
    return count


@compiled
def some_word_hashes(
    at: int,
    last: int,
    h: np.uint64,
    inside: np.uint64,
    in_number: bool,
    table: Table,
    ascii_C: Codes,
    zero_digits: bool | np.bool_,
    code_C: Codes,
    raw_W: Hashes,
    hash_W: Hashes,
    count: int,
) -> tuple[int, int, np.uint64, np.uint64, bool]:
    """Hashes of the words that end from address `at` on, into hash_W uint64 from `count` on, up to address
    `last` or until there is no room for those of another block.

    Returns their number with `count`, where to go on, and what is to be given there: the hash of a word that
    goes on (with `inside` not 0, its own at the end of the text), and whether a number does. code_C uint32
    and raw_W uint64 as `rooms` gives them; `ascii_C` is `folded_ascii` of the same table.
    """
    while at < last and (count + BLOCK_WORDS <= len(hash_W) or (last - at) // 2 < len(hash_W) - count):
        n, at, in_number = _fold(at, last, table, ascii_C, zero_digits, in_number, code_C)
        count, h, inside = _hash(code_C, n, h, inside, raw_W, hash_W, count)
    return count, at, h, inside, in_number


@compiled
def rooms() -> tuple[Codes, Hashes]:
    """Room for characters and hashes of a block."""
    return np.empty(BLOCK + 16, np.uint32), np.empty(4 * BLOCK_WORDS, np.uint64)
