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

from corpusmill.dedup.kernels.word_hashes import BLOCK_WORDS, Codes, folded_ascii, rooms, some_word_hashes
from corpusmill.dedup.kernels.words import (
    MULTIPLIER,
    Bytes,
    Hashes,
    Table,
    characters,
    visible_bytes_hash,
)
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.pipelines.text.kernels.mixing import avalanche

U32 = np.uint32
U64 = np.uint64
BAND_SALT = U64(0xD6E8FEB86659FD93)
BLOCK = 8
WORDS_AT_ONCE = 1 << 16  # whose hashes are in memory
MANY = 1 << 22  # values of a document, from where on 22 leading bits leave many out of order

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

    The values are hashes, hence uniform: two counting passes by together log2(n) + 5 or more leading
    bits (at most 22), leave few out of order, and insertion ends it. Of more than `MANY` values three
    passes sort all 32 bits. Linear in n; equal values cost nothing.
    """
    if n < 2:
        return n
    if n > MANY:
        _by_bits(value_S, n, 0, 11, scratch_S)
        _by_bits(scratch_S, n, 11, 11, value_S)
        _by_bits(value_S, n, 22, 10, scratch_S)
        for i in range(n):
            value_S[i] = scratch_S[i]
    elif n > 24:
        bits = 3
        while (1 << (2 * bits)) < 32 * n and bits < 11:
            bits += 1
        _by_leading_bits(value_S, n, bits, scratch_S)
    kept, last = 1, value_S[0]
    for i in range(1, n):
        v = value_S[i]
        if v >= last:
            value_S[kept] = v
            kept += v != last
            last = v
            continue
        j = kept - 1
        while j >= 0 and value_S[j] > v:
            j -= 1
        if j < 0 or value_S[j] != v:
            for k in range(kept, j + 1, -1):
                value_S[k] = value_S[k - 1]
            value_S[j + 1] = v
            kept += 1
    return kept


@compiled
def _by_bits(value_S: Values, n: int, low: int, bits: int, to_S: Values) -> None:
    """Writes value_S[:n] into to_S, ordered by `bits` bits from bit `low` on; what is equal there stays in
    its order."""
    shift, mask = U32(low), U32((1 << bits) - 1)
    next_B = np.zeros(1 << bits, np.int64)
    for i in range(n):
        next_B[U32(value_S[i] >> shift) & mask] += 1
    before = np.int64(0)
    for b in range(len(next_B)):
        here = next_B[b]
        next_B[b] = before
        before += here
    for i in range(n):
        v = value_S[i]
        bucket = U32(v >> shift) & mask
        to_S[next_B[bucket]] = v
        next_B[bucket] += 1


@compiled
def _by_leading_bits(value_S: Values, n: int, bits: int, scratch_S: Values) -> None:
    """Sorts value_S[:n] uint32 by its leading `2 * bits` bits: by their lower half, then by the upper."""
    size = 1 << bits
    low, high, mask = U32(32 - 2 * bits), U32(32 - bits), U32(size - 1)
    # How many values each bucket has, then where the next one of it goes.
    lower, upper = np.zeros(size, np.uint32), np.zeros(size, np.uint32)
    for i in range(n):
        v = value_S[i]
        lower[U32(v >> low) & mask] += U32(1)
        upper[U32(v >> high)] += U32(1)
    before_lower = before_upper = U32(0)
    for b in range(size):
        in_lower, in_upper = lower[b], upper[b]
        lower[b], upper[b] = before_lower, before_upper
        before_lower, before_upper = U32(before_lower + in_lower), U32(before_upper + in_upper)
    for i in range(n):
        v = value_S[i]
        bucket = U32(v >> low) & mask
        to = lower[bucket]
        scratch_S[to] = v
        lower[bucket] = U32(to + U32(1))
    for i in range(n):
        v = scratch_S[i]
        bucket = U32(v >> high)
        to = upper[bucket]
        value_S[to] = v
        upper[bucket] = U32(to + U32(1))


@inlined
def _lower(best: np.uint32, lo: np.uint32, hi: np.uint32, a: np.uint32) -> np.uint32:
    value = U32(lo + U32(a * hi))
    return value if value < best else best


@inlined
def _digest_step(h: np.uint64, value: np.uint64) -> np.uint64:
    h = (h ^ value) * MULTIPLIER
    return h ^ (h >> U64(29))


@compiled
def minima(shingle_S: Values, n: int, a_H: Values, min_H: Values) -> np.uint64:
    """Minimum of each hash over shingle_S[:n], into min_H uint32[H].

    Returns `set_digest` of these shingles, which costs nothing beside the vector instructions.
    """
    min_H[:] = U32(0xFFFFFFFF)
    lo = np.empty(BLOCK, np.uint32)
    hi = np.empty(BLOCK, np.uint32)
    hashes = len(a_H)
    h = U64(n) * BAND_SALT
    for block in range((n + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        if first + BLOCK <= n:
            for k in range(BLOCK):
                value = U64(shingle_S[U64(first + k)])
                spread = avalanche(value * MULTIPLIER)
                lo[k] = U32(spread)
                hi[k] = U32(spread >> U64(32))
                h = _digest_step(h, value)
        else:
            for k in range(BLOCK):
                # The last block repeats its final shingle, which changes no minimum.
                value = U64(shingle_S[min(first + k, n - 1)])
                spread = avalanche(value * MULTIPLIER)
                lo[k] = U32(spread)
                hi[k] = U32(spread >> U64(32))
                if first + k < n:
                    h = _digest_step(h, value)
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
    return avalanche(h)  # type: ignore[no-any-return]


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
        h = _digest_step(h, U64(value_S[i]))
    return avalanche(h)  # type: ignore[no-any-return]


@compiled
def word_shingles(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    ascii_C: Codes,
    zero_digits: bool | np.bool_,
    width: int,
    code_C: Codes,
    raw_W: Hashes,
    hash_W: Hashes,
    out_S: Values,
) -> int:
    """32-bit hashes of all runs of `width` words of `data[start:end]`; returns their number.

    Words are hashed as many at once as hash_W has room for, at least `width` and those of two blocks
    (`rooms`), and the last `width` - 1 stay for the shingles that begin with them.
    """
    begin = address(data)
    at, last = begin + start, begin + end
    h = inside = U64(0)
    in_number = False
    count = total = 0
    while at < last:
        count, at, h, inside, in_number = some_word_hashes(
            at, last, h, inside, in_number, table, ascii_C, zero_digits, code_C, raw_W, hash_W, count
        )
        if at < last:
            total += rolling_shingles(hash_W, count, width, out_S[total:])
            stay = min(width - 1, count)
            for w in range(stay):
                hash_W[w] = hash_W[count - stay + w]
            count = stay
    if inside:
        hash_W[U64(count)] = avalanche(h)
        count += 1
    return total + rolling_shingles(hash_W, count, width, out_S[total:])


@compiled
def _shingle(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    ascii_C: Codes,
    zero_digits: bool,
    by_word: bool,
    width: int,
    short: bool,
    code_C: Codes,
    raw_W: Hashes,
    hash_W: Hashes,
    char_C: Values,
    out_S: Values,
) -> int:
    if by_word:
        count: int = word_shingles(
            data, start, end, table, ascii_C, zero_digits, width, code_C, raw_W, hash_W, out_S
        )
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
    shingles have keys and digest 0. Memory: 8 bytes a shingle, of which 4 are given back.
    """
    n_docs = len(offsets) - 1
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest // 2 + 2 if by_word else longest + 2
    words = min(room, max(WORDS_AT_ONCE, 2 * width) + 2 * BLOCK_WORDS)
    hash_W = np.empty(words if by_word else 0, np.uint64)
    char_C = np.empty(0 if by_word else room, np.uint32)
    scratch = np.empty(room, np.uint32)
    ends = np.zeros(n_docs + 1, np.int64)
    keys = np.zeros((n_docs, bands), np.uint64)
    digest = np.zeros(n_docs, np.uint64)
    total = np.int64(0)
    shingles = np.empty(max(1024, (offsets[n_docs] - offsets[0]) // 4), np.uint32)
    min_H = np.empty(len(a_H), np.uint32)
    ascii_C = folded_ascii(table, zero_digits)
    code_C, raw_W = rooms()
    for d in range(n_docs):
        size = offsets[d + 1] - offsets[d]
        needed = total + (size // 2 if by_word else size) + 2
        if needed > len(shingles):
            grown = np.empty(2 * needed, np.uint32)
            grown[:total] = shingles[:total]
            shingles = grown
        set_S = shingles[total:]
        n = _shingle(
            data,
            offsets[d],
            offsets[d + 1],
            table,
            ascii_C,
            zero_digits,
            by_word,
            width,
            short,
            code_C,
            raw_W,
            hash_W,
            char_C,
            set_S,
        )
        n = sort_distinct(set_S, n, scratch)
        if n:
            digest[d] = minima(set_S, n, a_H, min_H)
            band_keys(min_H, bands, keys[d])
        total += n
        ends[d + 1] = total
    if total > WORDS_AT_ONCE:  # what lies behind was never written
        return ends, shingles[:total], keys, digest
    return ends, shingles[:total].copy(), keys, digest
