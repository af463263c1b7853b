"""UTF-8 to normalised words and characters, in one pass over the bytes.

Legend of shape suffixes: W words of a document, C characters of its normalised text.

A word is a maximal run of characters that are not separators (see `matching.normal_forms`), or one `SINGLE`
character. Its hash is a 64-bit polynomial over folded code points with an avalanche at the end; two distinct
words collide with probability about 2^-64. With `zero_digits` a run of digits (with `.` or `,` between
ASCII digits: 1,234.5) reads as the one digit 0.

Bytes that are not valid UTF-8 cannot occur in Arrow strings; they would be read as U+FFFD.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import decode
from corpusmill.pipelines.text.kernels.mixing import avalanche
from corpusmill.pipelines.text.mixing import GOLDEN

U64 = np.uint64
MULTIPLIER = GOLDEN
SEPARATOR = np.uint32(0)
SKIP = np.uint32(1)
SINGLE = np.uint32(1 << 31)
DIGIT = np.uint32(1 << 30)
CODE_POINT = np.uint32((1 << 21) - 1)
ZERO_DIGIT = np.uint32(ord("0"))
SPACE = np.uint32(ord(" "))

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Table = npt.NDArray[np.uint32]


@compiled
def ascii_entries(table: Table, zero_digits: bool | np.bool_) -> Bytes:
    """uint8[256]: the folded character of ASCII bytes that need no further thought, 0 for all other bytes."""
    quick = np.zeros(256, np.uint8)
    for byte in range(128):
        e = table[byte]
        if e > 1 and not (zero_digits and e & DIGIT):
            quick[byte] = e & CODE_POINT
    return quick


@compiled
def words(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    zero_digits: bool | np.bool_,
    hash_W: Hashes,
    end_W: npt.NDArray[np.int64],
) -> int:
    """Hashes of the words of `data[start:end]` into hash_W uint64; returns their number.

    Both outputs must hold (end - start + 1) // 2 entries, the most words that many bytes can hold; `end_W`
    int64 receives the byte position just after each word, or nothing where it has length 0.
    """
    keep_ends = len(end_W) > 0
    quick = ascii_entries(table, zero_digits)
    n = 0
    at = start
    h = U64(0)
    inside = False
    in_number = False
    while at < end:
        byte = data[at]
        if quick[byte]:  # the common case: a run of ASCII letters and digits
            if not inside:
                inside = True
                h = U64(0)
            while True:
                h = (h ^ U64(quick[byte])) * MULTIPLIER
                at += 1
                if at == end:
                    break
                byte = data[at]
                if quick[byte] == 0:
                    break
            in_number = False
            continue
        if byte < 128:
            e = table[byte]
            after = at + 1
        else:
            code, after = decode(data, at, end)
            e = table[code]
        if e == SKIP:
            at = after
            continue
        if zero_digits:
            if e & DIGIT:
                if in_number:
                    at = after
                    continue
                in_number = True
                e = ZERO_DIGIT
            elif in_number:
                if (byte == 44 or byte == 46) and after < end and 48 <= data[after] <= 57:
                    at = after
                    continue
                in_number = False
        if e == SEPARATOR or e & SINGLE:
            if inside:
                hash_W[n] = avalanche(h)
                if keep_ends:
                    end_W[n] = at
                n += 1
                inside = False
            if e & SINGLE:
                hash_W[n] = avalanche(U64(e & CODE_POINT) * MULTIPLIER)
                if keep_ends:
                    end_W[n] = after
                n += 1
        else:
            if not inside:
                inside = True
                h = U64(0)
            h = (h ^ U64(e & CODE_POINT)) * MULTIPLIER
        at = after
    if inside:
        hash_W[n] = avalanche(h)
        if keep_ends:
            end_W[n] = end
        n += 1
    return n


@compiled
def characters(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    zero_digits: bool | np.bool_,
    char_C: npt.NDArray[np.uint32],
) -> int:
    """Folded code points of `data[start:end]`, runs of separators as one space, none at the ends.

    Into char_C uint32, which must hold end - start entries; returns their number.
    """
    n = 0
    at = start
    pending = False
    in_number = False
    while at < end:
        byte = data[at]
        if byte < 128:
            e = table[byte]
            after = at + 1
        else:
            code, after = decode(data, at, end)
            e = table[code]
        if e == SKIP:
            at = after
            continue
        if zero_digits:
            if e & DIGIT:
                if in_number:
                    at = after
                    continue
                in_number = True
                e = ZERO_DIGIT
            elif in_number:
                if (byte == 44 or byte == 46) and after < end and 48 <= data[after] <= 57:
                    at = after
                    continue
                in_number = False
        if e == SEPARATOR:
            pending = n > 0
        else:
            if pending:
                char_C[n] = SPACE
                n += 1
                pending = False
            char_C[n] = e & CODE_POINT
            n += 1
        at = after
    return n


@compiled
def visible_bytes_hash(data: Bytes, start: int, end: int) -> np.uint64:
    """64-bit hash of `data[start:end]` without ASCII white space, exact in all else; 0 if nothing is left."""
    h = U64(0)
    seen = False
    for at in range(start, end):
        byte = data[at]
        if byte == 32 or 9 <= byte <= 13:
            continue
        seen = True
        h = (h ^ U64(byte + 1)) * MULTIPLIER
    if not seen:
        return U64(0)
    return U64(avalanche(h ^ U64(0x5851F42D4C957F2D)) | U64(1))
