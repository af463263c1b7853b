"""Shingle sets and band keys with the hash functions of other tools, equal to theirs bit for bit.

Legend: N documents, H hash functions, B bands (R rows each), S shingles of all documents together.

A text gets the form of the tool (`matching.peer_forms`); each run of `width` of its words or characters is a
shingle, and its bytes, words with single spaces between, get the tool's hash h of 32 or 64 bits. Minima are
taken of `a_i * h + b_i`: modulo 2^32 after a mixer (datasketch from 2.0 on), or modulo 2^64 and then modulo
2^61 - 1, of which a mask leaves 32 bits or all (datasketch before 2.0, and tools after it). The set that is
kept of a document is that of the lowest 32 bits of h.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.element_hashes import sha1_first_32, xxh64
from corpusmill.dedup.kernels.signatures import band_keys, set_digest, sort_distinct
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.memory import address, byte_at

U32 = np.uint32
U64 = np.uint64
MERSENNE = U64((1 << 61) - 1)
COPY, SPACE, DROP, DIGIT, OTHER = range(5)  # as in matching.peer_forms
SPACE_BYTE, ZERO_BYTE = 32, 48

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Tables = tuple[Bytes, npt.NDArray[np.int32], Bytes, npt.NDArray[np.bool_]]


@compiled
def normal_form(
    data: Bytes,
    start: int,
    end: int,
    kind: Bytes,
    places: npt.NDArray[np.int32],
    pool: Bytes,
    separator: npt.NDArray[np.bool_],
    out: Bytes,
) -> int:
    """The form of `data[start:end]`, UTF-8, into `out`, which must have room; returns its bytes."""
    begin, n = address(data), 0
    at, last = begin + start, begin + end
    pending = False
    while at < last:
        code, after = code_at(at, last)
        became = kind[code]
        if became == SPACE:
            pending = n > 0
            at = after
            continue
        if became == DROP or (became == OTHER and pool[places[code]] == 0):
            at = after
            continue
        if pending:
            out[n] = SPACE_BYTE
            n += 1
            pending = False
        if became == COPY:
            for place in range(at, after):
                out[n] = byte_at(place)
                n += 1
        elif became == DIGIT:
            out[n] = ZERO_BYTE
            n += 1
            after = _after_number(after, last, kind, separator)
        else:
            entry = places[code]
            for k in range(pool[entry]):
                out[n] = pool[entry + 1 + k]
                n += 1
        at = after
    return n


@compiled
def _after_number(at: int, last: int, kind: Bytes, separator: npt.NDArray[np.bool_]) -> int:
    """Where a number ends of which a digit stands just before address `at`: digits, and once a separator
    with more digits after it."""
    groups = 1
    while at < last:
        code, after = code_at(at, last)
        if kind[code] != DIGIT:
            if groups == 2 or not separator[code] or after >= last:
                break
            code, beyond = code_at(after, last)
            if kind[code] != DIGIT:
                break
            groups = 2
            after = beyond
        at = after
    return at


@compiled
def _units(form: Bytes, size: int, by_word: bool | np.bool_, start_U: Integers) -> int:
    """Beginnings of the words (stretches between single spaces) or characters of a form; the entry after the
    last is where another unit would begin. Returns how many."""
    n = 0
    if size == 0 and by_word:
        return 0
    if by_word:
        start_U[0] = 0
        n = 1
    for at in range(size):
        if by_word and form[at] == SPACE_BYTE:
            start_U[n] = at + 1
            n += 1
        elif not by_word and form[at] & 0xC0 != 0x80:
            start_U[n] = at
            n += 1
    start_U[n] = size + 1 if by_word else size
    return n


@forced
def _mixed_32(bits: Any) -> Any:
    """The finaliser of MurmurHash3 for 32 bits."""
    bits = U32(bits ^ (bits >> U32(16))) * U32(0x85EBCA6B)
    bits = U32(U32(bits) ^ (U32(bits) >> U32(13))) * U32(0xC2B2AE35)
    return U32(U32(bits) ^ (U32(bits) >> U32(16)))


@compiled
def affine_minima(hash_S: Hashes, n: int, a_H: Values, b_H: Values, min_H: Values) -> None:
    """Minima of `a * mixed(h) + b` modulo 2^32 over hash_S[:n]."""
    min_H[:] = U32(0xFFFFFFFF)
    for s in range(n):
        h = _mixed_32(U32(hash_S[s]))
        for i in range(len(a_H)):
            value = U32(U32(a_H[i] * h) + b_H[i])
            min_H[i] = min(min_H[i], value)


@compiled
def mersenne_minima(hash_S: Hashes, n: int, a_H: Hashes, b_H: Hashes, mask: Any, min_H: Hashes) -> None:
    """Minima of `(a * h + b) mod 2^64 mod (2^61 - 1)`, of which the bits of `mask` count, over hash_S[:n]."""
    min_H[:] = U64(0xFFFFFFFFFFFFFFFF)
    for s in range(n):
        h = hash_S[s]
        for i in range(len(a_H)):
            value = a_H[i] * h + b_H[i]
            value = (value & MERSENNE) + (value >> U64(61))
            value = value - MERSENNE if value >= MERSENNE else value
            min_H[i] = min(min_H[i], value & mask)


@compiled
def peer_sketch(
    offsets: Integers,
    data: Bytes,
    kind: Bytes,
    places: npt.NDArray[np.int32],
    pool: Bytes,
    separator: npt.NDArray[np.bool_],
    growth: int,
    by_word: bool,
    width: int,
    by_sha1: bool,
    affine: bool,
    a_H: Hashes,
    b_H: Hashes,
    mask: np.uint64,
    bands: int,
) -> tuple[Integers, Values, Hashes, Hashes, Hashes]:
    """As `signatures.sketch`, with `signature uint64[N, H]` besides: the minima, 0 of documents without
    shingles. H is what bands take of the functions drawn: `a_H` and `b_H` have no more.
    """
    n_docs, hashes = len(offsets) - 1, len(a_H)
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    form = np.empty(growth * longest + 1, np.uint8)
    start_U = np.empty(growth * longest + 2, np.int64)
    hash_S = np.empty(growth * longest + 2, np.uint64)
    raw, scratch = np.empty(growth * longest + 2, np.uint32), np.empty(growth * longest + 2, np.uint32)
    word_80 = np.empty(80, np.uint32)
    ends = np.zeros(n_docs + 1, np.int64)
    keys, digest = np.zeros((n_docs, bands), np.uint64), np.zeros(n_docs, np.uint64)
    signature = np.zeros((n_docs, hashes), np.uint64)
    a32_H, b32_H, min32_H = a_H.astype(np.uint32), b_H.astype(np.uint32), np.empty(hashes, np.uint32)
    shingles = np.empty(max(1024, (offsets[n_docs] - offsets[0]) // 4), np.uint32)
    total = np.int64(0)
    for d in range(n_docs):
        size = normal_form(data, offsets[d], offsets[d + 1], kind, places, pool, separator, form)
        units = _units(form, size, by_word, start_U)
        count = max(units - width + 1, 0)
        gap = 1 if by_word else 0
        begin = address(form)
        for i in range(count):
            length = start_U[i + width] - gap - start_U[i]
            if by_sha1:
                hash_S[i] = U64(sha1_first_32(begin + start_U[i], length, word_80))
            else:
                hash_S[i] = xxh64(begin + start_U[i], length)
            raw[i] = U32(hash_S[i])
        n = sort_distinct(raw, count, scratch)
        if n:
            if affine:
                affine_minima(hash_S, count, a32_H, b32_H, min32_H)
                for i in range(hashes):
                    signature[d, i] = min32_H[i]
            else:
                mersenne_minima(hash_S, count, a_H, b_H, mask, signature[d])
            band_keys(signature[d], bands, keys[d])
            digest[d] = set_digest(raw, n)
            if total + n > len(shingles):
                grown = np.empty(2 * (total + n), np.uint32)
                grown[:total] = shingles[:total]
                shingles = grown
            shingles[total : total + n] = raw[:n]
        total += n
        ends[d + 1] = total
    return ends, shingles[:total].copy(), keys, digest, signature
