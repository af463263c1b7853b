"""What the kernels of `personal_data` share: classes of bytes, words before a place, and chains of digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.rules.personal_tables import WORD_LISTS
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

WINDOW = 32  # bytes before a number in which words are looked for
GROUPS, DIGITS = 10, 32  # of the longest chain


DIGIT, FIRST, STOP, GAP, WHOLE, CHAIN_SIZE = 0, 40, 60, 80, 100, 101

Chain = Integers
"""A number as it is written, int64[101]: up to 10 groups of up to 32 digits in all, single signs between.

Digit k is at `DIGIT + k`. Group g has digits `[FIRST + g]` to `[FIRST + g + 1]` and ends at the address
`[STOP + g]`; `[GAP + g]` is what stands behind it: space, `-`, `.`, `/`, `(` or `)` (with a space or hyphen
beside it). `[WHOLE]` is 1 where the chain was not cut for its length.
"""

# List i are words `_LISTS[i]` to `_LISTS[i + 1]`, and word j is `_LETTERS[_STARTS[j]:_STARTS[j + 1]]`.
_WORDS = [word.encode() for words in WORD_LISTS for word in words]
_LISTS = np.cumsum([0, *map(len, WORD_LISTS)])
_STARTS = np.cumsum([0, *map(len, _WORDS)])
_LETTERS = np.frombuffer(b"".join(_WORDS), np.uint8)


@forced
def is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


@forced
def is_upper(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A


@forced
def is_lower(byte: int) -> bool:
    return 0x61 <= byte <= 0x7A


@forced
def is_letter(byte: int) -> bool:
    return 0x61 <= (byte | 0x20) <= 0x7A


@forced
def is_alphanumeric(byte: int) -> bool:
    return is_digit(byte) or is_letter(byte)


@forced
def is_word(byte: int) -> bool:
    """A-Z, a-z, 0-9 and the underscore."""
    return is_digit(byte) or is_letter(byte) or byte == 0x5F


@forced
def is_hexadecimal(byte: int) -> bool:
    return is_digit(byte) or 0x61 <= (byte | 0x20) <= 0x66


@forced
def folded(byte: int) -> int:
    """A-Z in lower case."""
    return byte | 0x20 if is_upper(byte) else byte


@compiled
def stands_before(at: int, begin: int, number: int) -> bool:
    """Whether a word of a list stands in the 32 bytes before `at`, on its line.

    A word counts as one where no letter of ASCII stands beside it; case is that of ASCII.
    """
    low = max(begin, at - WINDOW)
    place = at - 1
    while place >= low and byte_at(place) != 0x0A:
        place -= 1
    low = max(low, place + 1)
    for start in range(low, at):
        if start > begin and is_letter(byte_at(start - 1)) and byte_at(start) < 0x80:
            continue
        head = folded(byte_at(start))
        for word in range(_LISTS[number], _LISTS[number + 1]):
            first, last = _STARTS[word], _STARTS[word + 1]
            if _LETTERS[first] != head or start + last - first > at:
                continue
            same = True
            for k in range(1, last - first):
                if folded(byte_at(start + k)) != _LETTERS[first + k]:
                    same = False
                    break
            stop = start + last - first
            if same and not (is_letter(byte_at(stop - 1)) and stop < at and is_letter(byte_at(stop))):
                return True
    return False


@forced
def starts_clean(at: int, begin: int) -> bool:
    """Whether the number at `at` is not a later part of something longer, such as a version or a path."""
    if at == begin:
        return True
    before = byte_at(at - 1)
    if before == 0x23 or before == 0x24 or before == 0x2B:  # # $ +
        return False
    if before == 0x2E or before == 0x2D or before == 0x2F or before == 0x2C:  # . - / ,
        return at - 1 == begin or not is_word(byte_at(at - 2))
    return True


@forced
def ends_clean(at: int, end: int) -> bool:
    """Whether neither a word nor an address goes on at `at`."""
    return at == end or not (is_word(byte_at(at)) or byte_at(at) == 0x40)


@forced
def _gap(at: int, end: int) -> tuple[int, int]:
    """The sign between two groups of digits and the bytes it takes; (0, 0) where the chain ends."""
    if at + 1 >= end:
        return 0, 0
    sign, after = byte_at(at), byte_at(at + 1)
    if sign == 0x20 or sign == 0x2D or sign == 0x2E or sign == 0x2F:
        if is_digit(after):
            return sign, 1
        if sign == 0x20 and after == 0x28 and at + 2 < end and is_digit(byte_at(at + 2)):
            return 0x28, 2
        return 0, 0
    if sign == 0x28 and is_digit(after):
        return sign, 1
    if sign == 0x29:
        if is_digit(after):
            return sign, 1
        if (after == 0x20 or after == 0x2D) and at + 2 < end and is_digit(byte_at(at + 2)):
            return sign, 2
    return 0, 0


@compiled
def read_chain(at: int, end: int, chain: Chain) -> int:
    """Fill `chain` from the digit at `at`; gives its groups, 0 where the first has over 32 digits."""
    groups = digits = 0
    chain[WHOLE] = 1
    while True:
        chain[FIRST + groups] = digits
        while at < end and is_digit(byte_at(at)):
            if digits == DIGITS:
                chain[WHOLE] = 0
                break
            chain[DIGIT + digits] = byte_at(at) - 0x30
            digits += 1
            at += 1
        if chain[WHOLE] == 0:
            break
        chain[STOP + groups] = at
        groups += 1
        chain[FIRST + groups] = digits
        sign, width = _gap(at, end)
        chain[GAP + groups - 1] = sign
        if width == 0:
            break
        if groups == GROUPS:
            chain[WHOLE] = 0
            break
        at += width
    return groups


@compiled
def number_ends(chain: Chain, groups: int, group: int, end: int) -> bool:
    """Whether a number may end with a group: nothing but space, or no group at all, follows it."""
    if group < groups - 1 or chain[WHOLE] == 0:
        return bool(chain[GAP + group] == 0x20)
    return bool(ends_clean(chain[STOP + group], end))


@forced
def length(chain: Chain, group: int) -> int:
    """Digits of a group."""
    return chain[FIRST + group + 1] - chain[FIRST + group]  # type: ignore[no-any-return]


@compiled
def value(chain: Chain, first: int, count: int) -> int:
    """`count` digits from `first` as one number; under 19 of them."""
    found = 0
    for k in range(first, first + count):
        found = found * 10 + chain[DIGIT + k]
    return found


@compiled
def passes_luhn(chain: Chain, first: int, count: int) -> bool:
    """The check of ISO/IEC 7812-1, annex B, over `count` digits."""
    total = 0
    for k in range(count):
        digit = chain[DIGIT + first + count - 1 - k]
        if k % 2:
            digit = 2 * digit - 9 if digit > 4 else 2 * digit
        total += digit
    return total % 10 == 0
