"""One mixer of 64 bits: every input bit moves every output bit, and no two inputs give the same.

Two multiplications, and three times the upper bits onto the lower ones. It has two sets of constants, both
published: SplitMix64's finaliser is used for whatever is new; MurmurHash3's stays where keys are stored, in
indexes and sketches of deduplication.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Bits = TypeVar("Bits", np.uint64, npt.NDArray[np.uint64])
Constants = tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 / golden ratio, odd: the step of SplitMix64, and the factor of rolling hashes."""

FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x00000100000001B3)
"""FNV-1a of 64 bits (Fowler, Noll and Vo): for each byte `(hash ^ byte) * FNV_PRIME`, from FNV_START on."""

SPLITMIX64: Constants = (
    np.uint64(30), np.uint64(0xBF58476D1CE4E5B9), np.uint64(27), np.uint64(0x94D049BB133111EB), np.uint64(31),
)  # fmt: skip
"""Steele, Lea and Flood 2014 (variant 13 of Stafford)."""
MURMUR3: Constants = (
    np.uint64(33), np.uint64(0xFF51AFD7ED558CCD), np.uint64(33), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33),
)  # fmt: skip
"""MurmurHash3's 64-bit finaliser (Appleby, public domain)."""


def mixed(value: Bits, constants: Constants = SPLITMIX64) -> Bits:
    """`value`, a uint64 or an array of them, mixed one-to-one."""
    value = (value ^ (value >> constants[0])) * constants[1]
    value = (value ^ (value >> constants[2])) * constants[3]
    return value ^ (value >> constants[4])
