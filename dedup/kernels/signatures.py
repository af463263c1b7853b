"""Shingle sets, MinHash signatures and band keys of a batch of documents.

Legend: N documents, H hashes, B bands (R = H / B rows each), S shingles of all documents together.

**Shingles.** A shingle is a run of n normalised words (or characters); its hash is the avalanche of a rolling
polynomial over the 64-bit word hashes, cut to 32 bits. A document's shingle set is the sorted distinct list
of these 32-bit values: signature and measured similarity both read this one set. For documents of s
shingles two different shingles share a value with probability 2^-32, so a measured Jaccard index is off by
about s / 2^32 (10^-6 at 4,000 words), for half the memory and disk of 64-bit values.

**Hashes.** Each shingle value is spread to 64 bits (lo, hi) by the avalanche, and hash i is
`lo + a_i * hi mod 2^32` with a_i odd and random from `seed`. For random (lo, hi) each hash is uniform, and
any two are independent but for their lowest bits. Cost per shingle and hash: one multiply, one add, one
minimum of 32 bits, in vector instructions, because the inner loop runs over hashes and not shingles;
eight shingles a round keep the minima in registers for longer.

Estimates agree with theory as far as the tests can see (tests/dedup/test_signatures.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import (
    MULTIPLIER,
    Bytes,
    Hashes,
    Table,
    characters,
    visible_bytes_hash,
    words,
)
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.mixing import avalanche

U32 = np.uint32
U64 = np.uint64
BAND_SALT = U64(0xD6E8FEB86659FD93)
BLOCK = 8

Values = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]


def multipliers(hashes: int, seed: int) -> npt.NDArray[np.uint32]:
    """Odd random a_i, uint32[H], all different: Philox under `seed` (the family's, not the recipe's)."""
    bits = np.random.Philox(key=seed)
    values: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
    while len(values) < hashes:
        more = (bits.random_raw(hashes + 16) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        drawn = np.concatenate([values, more])
        _, first = np.unique(drawn, return_index=True)
        values = drawn[np.sort(first)]
    return values[:hashes].copy()


@compiled
def rolling_shingles(unit_L: Hashes | Values, n_units: int, width: int, out_S: Values) -> int:
    """32-bit hashes of all runs of `width` among the first `n_units` of unit_L; returns their number."""
    count = n_units - width + 1
    if count <= 0:
        return 0
    leaving = U64(1)
    for _ in range(width):
        leaving *= MULTIPLIER
    h = U64(0)
    for i in range(width):
        h = h * MULTIPLIER + U64(unit_L[i])
    out_S[0] = U32(avalanche(h) >> U64(32))
    for i in range(width, n_units):
        h = h * MULTIPLIER + U64(unit_L[i]) - leaving * U64(unit_L[i - width])
        out_S[i - width + 1] = U32(avalanche(h) >> U64(32))
    return count


@compiled
def sort_distinct(value_S: Values, n: int, scratch_S: Values) -> int:
    """Sorts value_S[:n] uint32 in place and drops repeats; returns how many are left.

    The values are hashes, hence uniform: one counting pass into about n buckets by their leading bits leaves
    every value within a few places of its own, and insertion ends it. Linear in n; equal values cost nothing.
    """
    if n < 2:
        return n
    if n > 32:
        bits = 1
        while (1 << bits) < n and bits < 22:
            bits += 1
        shift = U32(32 - bits)
        start = np.zeros((1 << bits) + 1, np.int64)
        for i in range(n):
            start[np.int64(value_S[i] >> shift) + 1] += 1
        for b in range(1 << bits):
            start[b + 1] += start[b]
        for i in range(n):
            bucket = np.int64(value_S[i] >> shift)
            scratch_S[start[bucket]] = value_S[i]
            start[bucket] += 1
        value_S[:n] = scratch_S[:n]
    for i in range(1, n):
        v = value_S[i]
        j = i - 1
        while j >= 0 and value_S[j] > v:
            value_S[j + 1] = value_S[j]
            j -= 1
        value_S[j + 1] = v
    kept = 1
    for i in range(1, n):
        if value_S[i] != value_S[kept - 1]:
            value_S[kept] = value_S[i]
            kept += 1
    return kept


@inlined
def _lower(best: np.uint32, lo: np.uint32, hi: np.uint32, a: np.uint32) -> np.uint32:
    value = U32(lo + U32(a * hi))
    return value if value < best else best


@compiled
def minima(shingle_S: Values, n: int, a_H: Values, min_H: Values) -> None:
    """Minimum of each hash over shingle_S[:n], into min_H uint32[H]."""
    min_H[:] = U32(0xFFFFFFFF)
    lo = np.empty(BLOCK, np.uint32)
    hi = np.empty(BLOCK, np.uint32)
    hashes = len(a_H)
    for first in range(0, n, BLOCK):
        for k in range(BLOCK):
            # The last block repeats its final shingle, which changes no minimum.
            spread = avalanche(U64(shingle_S[min(first + k, n - 1)]) * MULTIPLIER)
            lo[k] = U32(spread)
            hi[k] = U32(spread >> U64(32))
        lo0, lo1, lo2, lo3, lo4, lo5, lo6, lo7 = lo[0], lo[1], lo[2], lo[3], lo[4], lo[5], lo[6], lo[7]
        hi0, hi1, hi2, hi3, hi4, hi5, hi6, hi7 = hi[0], hi[1], hi[2], hi[3], hi[4], hi[5], hi[6], hi[7]
        for i in range(hashes):
            a = a_H[i]
            best = _lower(min_H[i], lo0, hi0, a)
            best = _lower(best, lo1, hi1, a)
            best = _lower(best, lo2, hi2, a)
            best = _lower(best, lo3, hi3, a)
            best = _lower(best, lo4, hi4, a)
            best = _lower(best, lo5, hi5, a)
            best = _lower(best, lo6, hi6, a)
            min_H[i] = _lower(best, lo7, hi7, a)


@compiled
def band_keys(min_H: Values | Hashes, bands: int, key_B: Hashes) -> None:
    """64-bit key of each band: a hash of its index and its rows' minima."""
    rows = len(min_H) // bands
    for b in range(bands):
        h = U64(b + 1) * BAND_SALT
        for r in range(b * rows, (b + 1) * rows):
            h = (h ^ U64(min_H[r])) * MULTIPLIER
            h ^= h >> U64(29)
        key_B[b] = avalanche(h)


@compiled
def set_digest(value_S: Values, n: int) -> np.uint64:
    """A hash of the set value_S[:n], sorted and distinct."""
    h = U64(n) * BAND_SALT
    for i in range(n):
        h = (h ^ U64(value_S[i])) * MULTIPLIER
        h ^= h >> U64(29)
    return avalanche(h)  # type: ignore[no-any-return]


@compiled
def _shingle(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    zero_digits: bool,
    by_word: bool,
    width: int,
    short: bool,
    hash_W: Hashes,
    char_C: Values,
    out_S: Values,
) -> int:
    if by_word:
        n = words(data, start, end, table, zero_digits, hash_W, np.empty(0, np.int64))
        count: int = rolling_shingles(hash_W, n, width, out_S)
    else:
        n = characters(data, start, end, table, zero_digits, char_C)
        count = rolling_shingles(char_C, n, width, out_S)
    if count == 0 and short:
        h = visible_bytes_hash(data, start, end)
        if h != U64(0):
            out_S[0] = U32(h >> U64(32))
            count = 1
    return count


@compiled
def sketch(
    offsets: Integers,
    data: Bytes,
    table: Table,
    zero_digits: bool,
    by_word: bool,
    width: int,
    short: bool,
    a_H: Values,
    bands: int,
) -> tuple[Integers, Values, Hashes, Hashes]:
    """Shingle sets, band keys and set digests of N documents.

    `short`: a document of fewer than `width` words (characters) has one shingle, the hash of its bytes
    without white space; otherwise it has none. Returns `(ends int64[N + 1], shingles uint32[S], keys
    uint64[N, B], digest uint64[N])`: document i's set is `shingles[ends[i]:ends[i + 1]]`; documents without
    shingles have keys and digest 0.
    """
    n_docs = len(offsets) - 1
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest // 2 + 2 if by_word else longest + 2
    hash_W = np.empty(room if by_word else 0, np.uint64)
    char_C = np.empty(0 if by_word else room, np.uint32)
    raw = np.empty(room, np.uint32)
    scratch = np.empty(room, np.uint32)
    ends = np.zeros(n_docs + 1, np.int64)
    keys = np.zeros((n_docs, bands), np.uint64)
    digest = np.zeros(n_docs, np.uint64)
    total = np.int64(0)
    shingles = np.empty(max(1024, (offsets[n_docs] - offsets[0]) // 4), np.uint32)
    min_H = np.empty(len(a_H), np.uint32)
    for d in range(n_docs):
        n = _shingle(
            data,
            offsets[d],
            offsets[d + 1],
            table,
            zero_digits,
            by_word,
            width,
            short,
            hash_W,
            char_C,
            raw,
        )
        n = sort_distinct(raw, n, scratch)
        if n:
            if total + n > len(shingles):
                grown = np.empty(2 * (total + n), np.uint32)
                grown[:total] = shingles[:total]
                shingles = grown
            shingles[total : total + n] = raw[:n]
            digest[d] = set_digest(raw, n)
            minima(raw, n, a_H, min_H)
            band_keys(min_H, bands, keys[d])
        total += n
        ends[d + 1] = total
    return ends, shingles[:total].copy(), keys, digest
