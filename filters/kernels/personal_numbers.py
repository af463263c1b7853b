"""Telephone numbers, payment cards and bank accounts, as `personal_data` finds them."""

from __future__ import annotations

import numpy as np

from corpusmill.filters.kernels.personal_marks import (
    DIGIT,
    FIRST,
    GAP,
    STOP,
    WHOLE,
    Chain,
    ends_clean,
    is_digit,
    is_upper,
    length,
    number_ends,
    passes_luhn,
    stands_before,
    value,
)
from corpusmill.filters.rules.personal_tables import (
    CALLING_CODES,
    CARD_LIST,
    IBAN_LENGTHS,
    NUMBER_LIST,
    PHONE_LIST,
)
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at

SPACE, HYPHEN, DOT, SLASH, OPENED, CLOSED = 0x20, 0x2D, 0x2E, 0x2F, 0x28, 0x29

# Lengths by the two letters of a country, and calling codes of n digits behind 1,000 n.
_IBANS, _CODES = np.zeros(26 * 26, np.int64), np.zeros(4000, np.uint8)
for _country, _length in IBAN_LENGTHS.items():
    _IBANS[(ord(_country[0]) - 65) * 26 + ord(_country[1]) - 65] = _length
for _code in CALLING_CODES.split():
    for _digit in "0123456789" if "x" in _code else "0":
        _CODES[1000 * len(_code) + int(_code.replace("x", _digit))] = 1


@forced
def _is_card_of(prefix: int, digits: int) -> bool:
    """Whether an issuer has cards whose first six digits are `prefix`, of so many digits in all."""
    one, two, three, four = prefix // 100_000, prefix // 10_000, prefix // 1_000, prefix // 100
    if one == 4:
        return digits == 13 or digits == 16 or digits == 19
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return digits == 16
    if two == 34 or two == 37:
        return digits == 15
    if four == 6011 or 644 <= three <= 649 or two == 65 or 3528 <= four <= 3589 or two == 62:
        return 16 <= digits <= 19
    if 300 <= three <= 305 or two == 36 or two == 38:
        return digits == 14
    return (four == 5018 or four == 5020 or four == 5038 or four == 6304 or 6759 <= four <= 6763) and (
        digits == 16 or digits == 18 or digits == 19
    )


@compiled
def card_end(chain: Chain, groups: int, begin: int, at: int, end: int) -> int:
    """Where the card number at `at` ends; 0 where there is none.

    13 to 19 digits of an issuer, with the check of Luhn, in one group or in groups of four (or 4, 6 and 5 or
    4) between spaces or between hyphens. In one group of other than 14 to 16 digits, or behind a word such as
    `order` on its line, it is none, unless one such as `card` stands there.
    """
    last = 0
    sign = chain[GAP]
    if groups > 1 and length(chain, 0) == 4 and (sign in (SPACE, HYPHEN)):
        amex = length(chain, 1) == 6
        if not amex and length(chain, 1) != 4:
            return 0
        while last + 1 < groups and chain[GAP + last] == sign and last < (2 if amex else 4):
            size = length(chain, last + 1)
            if (amex and last == 1 and size != 5 and size != 4) or (not amex and size > 4):
                break
            last += 1
            if size < 4:
                break
        while last > 1 and (not number_ends(chain, groups, last, end) or chain[FIRST + last + 1] < 13):
            last -= 1
        if last < 2:
            return 0
    if not number_ends(chain, groups, last, end):
        return 0
    digits = chain[FIRST + last + 1]
    if digits < 13 or digits > 19 or not _is_card_of(value(chain, 0, 6), digits):
        return 0
    if not passes_luhn(chain, 0, digits):
        return 0
    plain = last > 0 or 14 <= digits <= 16
    if (not plain or stands_before(at, begin, NUMBER_LIST)) and not stands_before(at, begin, CARD_LIST):
        return 0
    return int(chain[STOP + last])


@compiled
def iban_end(at: int, end: int) -> int:
    """Where the IBAN (ISO 13616) at `at`, two capitals and two digits, ends; 0 where there is none.

    Capitals and digits, at once or in groups of four between single spaces; of the length that its country
    has and with remainder 1 of 97.
    """
    if at + 4 > end or not is_upper(byte_at(at)) or not is_upper(byte_at(at + 1)):
        return 0
    if not is_digit(byte_at(at + 2)) or not is_digit(byte_at(at + 3)):
        return 0
    size = _IBANS[(byte_at(at) - 0x41) * 26 + byte_at(at + 1) - 0x41]
    if size == 0:
        return 0
    spaced = at + 4 < end and byte_at(at + 4) == SPACE
    rest = tail = 0
    place = at
    for k in range(size):
        if spaced and k > 0 and k % 4 == 0:
            if place >= end or byte_at(place) != SPACE:
                return 0
            place += 1
        if place >= end:
            return 0
        byte = byte_at(place)
        if is_digit(byte):
            worth, width = byte - 0x30, 10
        elif is_upper(byte):
            worth, width = byte - 0x37, 100
        else:
            return 0
        if k < 4:
            tail = (tail * width + worth) % 97
        else:
            rest = (rest * width + worth) % 97
        place += 1
    if not ends_clean(place, end):
        return 0
    letters = 100 * 100 * 10 * 10  # what the four characters at the front are worth at the end
    return place if (rest * letters + tail) % 97 == 1 else 0


@compiled
def _known_code(chain: Chain) -> bool:
    """Whether the digits begin with a calling code."""
    for count in range(1, 4):  # noqa: SIM110
        if _CODES[count * 1000 + value(chain, 0, count)]:
            return True
    return False


@compiled
def international_end(chain: Chain, groups: int, end: int) -> int:
    """Where the number of E.164 whose digits, behind `+`, are `chain` ends; 0 where there is none.

    8 to 13 digits from a calling code, up to 15 in one group, 11 for +1; 555-0100 to 555-0199 of +1, which
    are kept for fiction, are none.
    """
    american = chain[DIGIT] == 1
    last = -1
    for group in range(groups):
        digits = chain[FIRST + group + 1]
        if digits > (15 if group == 0 else 13):
            break
        if number_ends(chain, groups, group, end) and digits >= 8 and (not american or digits == 11):
            last = group
    if last < 0 or not _known_code(chain):
        return 0
    if american and _is_fiction(chain, 1):
        return 0
    return int(chain[STOP + last])


@forced
def _is_fiction(chain: Chain, first: int) -> bool:
    return value(chain, first + 3, 5) == 55501


@forced
def _is_american(chain: Chain, first: int) -> bool:
    """Whether ten digits from `first` are a number of North America that fiction leaves alone."""
    return chain[DIGIT + first] >= 2 and chain[DIGIT + first + 3] >= 2 and not _is_fiction(chain, first)


@forced
def _is_date(chain: Chain, groups: int) -> bool:
    """Whether a chain begins as a date does: 2024-01-31, 31.01.2024 or 01/31/2024."""
    if groups < 3:
        return False
    a, b, c = length(chain, 0), length(chain, 1), length(chain, 2)
    x, y, z = (
        value(chain, chain[FIRST], min(a, 4)),
        value(chain, chain[FIRST + 1], min(b, 4)),
        value(chain, chain[FIRST + 2], min(c, 4)),
    )
    if a == 4 and b == 2 and c == 2:
        return 1800 <= x < 2200 and y <= 12 and z <= 31
    return a <= 2 and b <= 2 and c == 4 and 1800 <= z < 2200 and x <= 31 and y <= 31 and min(x, y) <= 12


@forced
def _pairs_count_up(chain: Chain) -> bool:
    """Whether five pairs of digits are five numbers in a row."""
    for k in range(1, 5):  # noqa: SIM110
        if value(chain, 2 * k, 2) != value(chain, 2 * k - 2, 2) + 1:
            return False
    return True


@compiled
def _formatted(chain: Chain, groups: int, end: int) -> int:
    """The last group of a number that is written as those of telephones are; -1 where there is none."""
    if groups < 2:
        return -1
    a, b, sign = length(chain, 0), length(chain, 1), chain[GAP]
    c = length(chain, 2) if groups > 2 else 0
    if groups > 2 and a == 3 and b == 3 and c == 4 and number_ends(chain, groups, 2, end):
        same = sign == chain[GAP + 1] and (sign in (HYPHEN, DOT))
        opened = sign == CLOSED and (
            chain[GAP + 1] == HYPHEN or chain[GAP + 1] == DOT or chain[GAP + 1] == SPACE
        )
        if (same or opened) and _is_american(chain, 0):
            return 2
    if groups > 3 and a == 1 and b == 3 and c == 3 and length(chain, 3) == 4 and chain[DIGIT] == 1:
        same = sign == chain[GAP + 1] == chain[GAP + 2] and (sign in (HYPHEN, DOT))
        if (same or sign == OPENED) and _is_american(chain, 1) and number_ends(chain, groups, 3, end):
            return 3
    if groups > 2 and a == 3 and b == 4 and c == 4 and number_ends(chain, groups, 2, end):
        # A mobile number of China.
        same = sign == chain[GAP + 1] and (sign in (HYPHEN, SPACE))
        if same and chain[DIGIT] == 1 and chain[DIGIT + 1] >= 3:
            return 2
    if chain[DIGIT] != 0 or chain[DIGIT + 1] == 0:
        return -1
    if groups == 5 and chain[FIRST + 5] == 10 and a == 2 and b == 2 and c == 2 and length(chain, 3) == 2:
        # France: 01 23 45 67 89.
        same = sign == chain[GAP + 1] == chain[GAP + 2] == chain[GAP + 3] and (sign in (DOT, SPACE))
        if same and not _pairs_count_up(chain) and number_ends(chain, groups, 4, end):
            return 4
    if a < 2 or a > 5 or (sign != SPACE and sign != HYPHEN and sign != SLASH and sign != CLOSED):
        return -1
    if chain[DIGIT : DIGIT + chain[FIRST + groups]].max() < 2:
        return -1
    best = -1
    for last in range(1, min(groups, 4)):
        if last > 1 and chain[GAP + last - 1] != SPACE and chain[GAP + last - 1] != HYPHEN:
            break
        digits = chain[FIRST + last + 1]
        if digits > 12 or length(chain, last) < 3:
            break
        if digits >= 10 and (a >= 3 or last > 1) and number_ends(chain, groups, last, end):
            best = last
    return best


@compiled
def phone_end(chain: Chain, groups: int, begin: int, at: int, end: int) -> int:
    """Where the telephone number at `at`, without `+`, ends; 0 where there is none.

    Behind a word such as `phone` on its line: 7 to 13 digits that are neither a date nor a decimal. Without
    one: digits as North America, China, France and countries of area codes with 0 write them, unless a word
    such as `order` stands there.
    """
    if chain[FIRST + groups] < 7:
        return 0
    last = -1
    if stands_before(at, begin, PHONE_LIST):
        if _is_date(chain, groups) or (groups == 2 and chain[GAP] == DOT and chain[WHOLE]):
            return 0
        for group in range(groups):
            digits = chain[FIRST + group + 1]
            if digits > 13:
                break
            if digits >= 7 and number_ends(chain, groups, group, end):
                last = group
    else:
        last = _formatted(chain, groups, end)
        if last >= 0 and stands_before(at, begin, NUMBER_LIST):
            return 0
    return 0 if last < 0 else int(chain[STOP + last])
