"""Hashes of other tools, of bytes at an address: SHA-1 (FIPS 180-4), of which 32 bits count, and XXH64.

XXH64 is the function of Yann Collet (xxHash specification 0.1.1) with seed 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at, eight_at, four_at

U32 = np.uint32
U64 = np.uint64
P1, P2 = U64(0x9E3779B185EBCA87), U64(0xC2B2AE3D27D4EB4F)
P3, P4, P5 = U64(0x165667B19E3779F9), U64(0x85EBCA77C2B2AE63), U64(0x27D4EB2F165667C5)


@forced
def _left_32(bits: Any, by: int) -> Any:
    return U32(bits << U32(by)) | U32(bits >> U32(32 - by))


@forced
def _left_64(bits: Any, by: int) -> Any:
    return (bits << U64(by)) | (bits >> U64(64 - by))


@forced
def _reversed(bits: Any) -> Any:
    """A uint32 with its bytes in the other order."""
    low = U32(U32(bits << U32(24)) | U32(U32(bits & U32(0xFF00)) << U32(8)))
    return U32(low | U32(U32(bits >> U32(8)) & U32(0xFF00)) | U32(bits >> U32(24)))


@compiled
def sha1_first_32(place: int, size: int, word_80: npt.NDArray[np.uint32]) -> Any:
    """The first four bytes of the SHA-1 of `size` bytes, read as a little-endian number; `word_80` is scratch
    (what datasketch and others after it call sha1_hash32)."""
    a0, b0, c0 = U32(0x67452301), U32(0xEFCDAB89), U32(0x98BADCFE)
    d0, e0 = U32(0x10325476), U32(0xC3D2E1F0)
    blocks = (size + 8) // 64 + 1
    for block in range(blocks):
        for i in range(16):
            at = block * 64 + i * 4
            if at + 4 <= size:
                word_80[i] = _reversed(U32(four_at(place + at)))
            elif at > size:
                word_80[i] = U32(0)
            else:
                word = U32(0)
                for k in range(4):
                    if at + k < size:
                        word |= U32(U32(byte_at(place + at + k)) << U32(24 - 8 * k))
                    elif at + k == size:
                        word |= U32(U32(0x80) << U32(24 - 8 * k))
                word_80[i] = word
        if block == blocks - 1:
            word_80[14], word_80[15] = U32(U64(size) >> U64(29)), U32(U64(size) << U64(3))
        for i in range(16, 80):
            word_80[i] = _left_32(word_80[i - 3] ^ word_80[i - 8] ^ word_80[i - 14] ^ word_80[i - 16], 1)
        a, b, c, d, e = a0, b0, c0, d0, e0
        for i in range(80):
            if i < 20:
                mixed = U32(U32((b & c) | (~b & d)) + U32(0x5A827999))
            elif i < 40:
                mixed = U32(U32(b ^ c ^ d) + U32(0x6ED9EBA1))
            elif i < 60:
                mixed = U32(U32((b & c) | (b & d) | (c & d)) + U32(0x8F1BBCDC))
            else:
                mixed = U32(U32(b ^ c ^ d) + U32(0xCA62C1D6))
            mixed = U32(U32(U32(_left_32(a, 5) + mixed) + e) + word_80[i])
            e, d, c, b, a = d, c, _left_32(b, 30), a, mixed
        a0, b0, c0, d0, e0 = U32(a0 + a), U32(b0 + b), U32(c0 + c), U32(d0 + d), U32(e0 + e)
    return _reversed(a0)


@forced
def _round(lane: Any, bits: Any) -> Any:
    return _left_64(lane + bits * P2, 31) * P1


@forced
def _merge(hashed: Any, lane: Any) -> Any:
    return (hashed ^ _round(U64(0), lane)) * P1 + P4


@compiled
def xxh64(place: int, size: int) -> Any:
    """XXH64 of `size` bytes at an address, uint64."""
    at, end = place, place + size
    if size >= 32:
        one, two, three, four = P1 + P2, P2, U64(0), U64(0) - P1
        while at + 32 <= end:
            one, two = _round(one, eight_at(at)), _round(two, eight_at(at + 8))
            three, four = _round(three, eight_at(at + 16)), _round(four, eight_at(at + 24))
            at += 32
        hashed = _left_64(one, 1) + _left_64(two, 7) + _left_64(three, 12) + _left_64(four, 18)
        hashed = _merge(_merge(_merge(_merge(hashed, one), two), three), four)
    else:
        hashed = P5
    hashed += U64(size)
    while at + 8 <= end:
        hashed = _left_64(hashed ^ _round(U64(0), eight_at(at)), 27) * P1 + P4
        at += 8
    if at + 4 <= end:
        hashed = _left_64(hashed ^ U64(four_at(at)) * P1, 23) * P2 + P3
        at += 4
    while at < end:
        hashed = _left_64(hashed ^ U64(byte_at(at)) * P5, 11) * P1
        at += 1
    hashed = (hashed ^ (hashed >> U64(33))) * P2
    hashed = (hashed ^ (hashed >> U64(29))) * P3
    return hashed ^ (hashed >> U64(32))
