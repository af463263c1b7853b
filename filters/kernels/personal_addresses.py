"""Addresses of mail and of the Internet, as `personal_data` finds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.personal_marks import (
    DIGIT,
    FIRST,
    GAP,
    STOP,
    Chain,
    is_alphanumeric,
    is_digit,
    is_hexadecimal,
    is_letter,
    is_upper,
    is_word,
    length,
    stands_before,
    value,
)
from corpusmill.filters.rules.personal_tables import (
    COUNTRY_DOMAINS,
    GENERIC_DOMAINS,
    RESERVED_DOMAINS,
    VERSION_LIST,
)
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at
from corpusmill.pipelines.text.kernels.sorted_hashes import place_of
from corpusmill.pipelines.text.mixing import FNV_PRIME, FNV_START

Hashes = npt.NDArray[np.uint64]

LONGEST_LOCAL, LONGEST_DOMAIN, LONGEST_LABEL = 64, 253, 63


@forced
def _is_local(byte: int) -> bool:
    """Letters, digits and `. _ % + ' -`."""
    return is_word(byte) or byte == 0x2E or byte == 0x25 or byte == 0x2B or byte == 0x2D or byte == 0x27


@compiled
def _folded_hash(at: int, end: int) -> Any:
    """FNV-1a of the bytes from `at` to `end`, A-Z in lower case."""
    found = FNV_START
    while at < end:
        byte = byte_at(at)
        found = (found ^ np.uint64(byte | 0x20 if is_upper(byte) else byte)) * FNV_PRIME
        at += 1
    return found


def _hashed(names: Iterable[str]) -> Hashes:
    """Sorted hashes of names of ASCII, as `_folded_hash` gives them."""
    found = []
    for name in names:
        value = int(FNV_START)
        for byte in name.encode("ascii"):
            value = ((value ^ byte) * int(FNV_PRIME)) & 0xFFFF_FFFF_FFFF_FFFF
        found.append(value)
    return np.array(sorted(set(found)), np.uint64)


_DOMAINS = _hashed(f"{COUNTRY_DOMAINS} {GENERIC_DOMAINS}".split())
_RESERVED = _hashed(RESERVED_DOMAINS)


@compiled
def email_bounds(at: int, free: int, end: int) -> tuple[int, int]:
    """Where the address of mail around the `@` at `at` begins and ends; (0, 0) where there is none.

    `free` is the first place it may begin at. The local part are up to 64 letters, digits and `._%+'-`, from
    a letter or digit, without two dots in a row or one at its end; the domain are two or more labels, of
    which the last is in use. `git@...` is none, nor are domains that documentation uses.
    """
    start = at
    while start > free and at - start <= LONGEST_LOCAL and _is_local(byte_at(start - 1)):
        start -= 1
    if at - start > LONGEST_LOCAL:
        return 0, 0
    while start < at and not is_alphanumeric(byte_at(start)):
        start += 1
    if start == at or byte_at(at - 1) == 0x2E:
        return 0, 0
    git = at - start == 3 and byte_at(start) == 0x67 and byte_at(start + 1) == 0x69
    if git and byte_at(start + 2) == 0x74:
        return 0, 0
    for place in range(start, at - 1):
        if byte_at(place) == 0x2E and byte_at(place + 1) == 0x2E:
            return 0, 0
    labels, label, before, place = 0, at + 1, at + 1, at + 1
    while True:
        first = place
        while (
            place < end
            and place - first <= LONGEST_LABEL
            and (is_alphanumeric(byte_at(place)) or (byte_at(place) == 0x2D and place > first))
        ):
            place += 1
        if place == first or place - first > LONGEST_LABEL or place - at > LONGEST_DOMAIN:
            return 0, 0
        before, label = label, first
        labels += 1
        if place + 1 < end and byte_at(place) == 0x2E and is_alphanumeric(byte_at(place + 1)):
            place += 1
            continue
        break
    if labels < 2 or (place < end and (is_word(byte_at(place)) or byte_at(place) == 0x40)):
        return 0, 0
    found = _folded_hash(label, place)
    if place_of(_DOMAINS, found, 0, len(_DOMAINS)) < 0:
        return 0, 0
    found = _folded_hash(before, place)
    if place_of(_RESERVED, found, 0, len(_RESERVED)) >= 0:
        return 0, 0
    return start, place


@forced
def _is_public(a: int, b: int, c: int) -> bool:
    """Whether IANA's registries leave a.b.c.* to hosts of the Internet."""
    if a == 0 or a == 10 or a == 127 or a >= 224:
        return False
    if (a == 100 and 64 <= b < 128) or (a == 169 and b == 254) or (a == 172 and 16 <= b < 32):
        return False
    if (a == 192 and b == 168) or (a == 192 and b == 0 and (c == 0 or c == 2)):
        return False
    return not ((a == 198 and (b == 18 or b == 19)) or (a == 198 and b == 51 and c == 100)
                or (a == 203 and b == 0 and c == 113))  # fmt: skip


@compiled
def looks_like_ipv4(chain: Chain, groups: int) -> bool:
    """Whether a chain begins with four numbers up to 255 between dots."""
    if groups < 4:
        return False
    for group in range(4):
        size = length(chain, group)
        if size > 3 or (group < 3 and chain[GAP + group] != 0x2E):
            return False
        if value(chain, chain[FIRST + group], size) > 255:
            return False
    return True


@compiled
def ipv4_end(chain: Chain, begin: int, at: int, end: int) -> int:
    """Where the public IPv4 address at `at`, which `looks_like_ipv4`, ends; 0 where it is none.

    None has a zero before a number, another dot and number behind it, a word such as `version` before it on
    its line, or a hyphen and a word behind it; four numbers under 32 are those of a section or a version.
    """
    for group in range(4):
        if length(chain, group) > 1 and chain[DIGIT + chain[FIRST + group]] == 0:
            return 0
    stop = chain[STOP + 3]
    if chain[GAP + 3] == 0x2E or (stop < end and (is_word(byte_at(stop)) or byte_at(stop) == 0x40)):
        return 0
    if stop + 1 < end and byte_at(stop) == 0x2D and is_letter(byte_at(stop + 1)):
        return 0
    a = value(chain, 0, length(chain, 0))
    b = value(chain, chain[FIRST + 1], length(chain, 1))
    c = value(chain, chain[FIRST + 2], length(chain, 2))
    if a < 32 and b < 32 and c < 32 and value(chain, chain[FIRST + 3], length(chain, 3)) < 32:
        return 0
    if not _is_public(a, b, c) or stands_before(at, begin, VERSION_LIST):
        return 0
    return int(stop)


@compiled
def ipv6_end(at: int, end: int) -> int:
    """Where the global unicast IPv6 address (2000::/3) that may begin at `at` ends; 0 where there is none.

    Eight groups of up to four hexadecimal digits, or at least three where `::` stands for the others; neither
    of 2001:db8::/32, which documentation uses.
    """
    groups = 0
    gap = False
    place = at
    second = 0
    while True:
        size = worth = 0
        while place < end and size < 5 and is_hexadecimal(byte_at(place)):
            byte = byte_at(place)
            worth = worth * 16 + (byte - 0x30 if is_digit(byte) else (byte | 0x20) - 0x57)
            place += 1
            size += 1
        if size == 0 or size > 4 or groups == 8 or (groups == 0 and size != 4):
            return 0
        groups += 1
        if groups == 1 and not 0x2000 <= worth < 0x4000:
            return 0
        if groups == 1 and worth == 0x2001:
            second = 1
        elif groups == 2 and second == 1 and worth == 0xDB8:
            return 0
        if place >= end or byte_at(place) != 0x3A:
            break
        if place + 1 < end and byte_at(place + 1) == 0x3A:
            if gap:
                return 0
            gap = True
            place += 2
            if place >= end or not is_hexadecimal(byte_at(place)):
                break
            continue
        if place + 1 >= end or not is_hexadecimal(byte_at(place + 1)):
            break
        place += 1
    if place < end and (is_word(byte_at(place)) or (byte_at(place) == 0x3A and place + 1 < end
                        and byte_at(place + 1) == 0x3A)):  # fmt: skip
        return 0
    if gap:
        return place if 3 <= groups < 8 else 0
    return place if groups == 8 else 0
