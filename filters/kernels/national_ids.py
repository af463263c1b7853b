"""Personal numbers of countries, each by its form, its date and its check, as `personal_data` finds them."""

from __future__ import annotations

import numpy as np

from corpusmill.filters.kernels.personal_marks import (
    DIGIT,
    FIRST,
    GAP,
    STOP,
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
from corpusmill.filters.rules.personal_tables import COUNTRIES, ID_LISTS
from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.memory import byte_at

BR, CN, DE, ES, FR, IN, IT, KR, NL, PL, SE, US = (1 << k for k in range(len(COUNTRIES)))
_BR, _DE, _ES, _IN, _NL, _PL, _SE, _US = (
    ID_LISTS[country] for country in ("br", "de", "es", "in", "nl", "pl", "se", "us")
)
HYPHEN, DOT, SPACE = 0x2D, 0x2E, 0x20
_SPACES, _HYPHENS = (SPACE,) * 6, (HYPHEN,) * 6

_MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_CHINA = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_CHINA_CHECKS = np.frombuffer(b"10X98765432", np.uint8)
_PROVINCES = np.array(
    [11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
     61, 62, 63, 64, 65, 71, 81, 82, 83]
)  # fmt: skip
_KOREA = np.array([2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
_POLAND = np.array([1, 3, 7, 9, 1, 3, 7, 9, 1, 3])
_SPAIN = np.frombuffer(b"TRWAGMYFPDXBNJZSQVHLCKE", np.uint8)
_ITALY_FORM = b"LLLLLLddLddLdddL"
_ITALY = np.frombuffer(_ITALY_FORM, np.uint8)
_ITALY_MONTHS = np.frombuffer(b"ABCDEHLMPRST", np.uint8)
# What characters at odd places are worth in Italy: digits 0-9, then A-Z.
_ITALY_ODD = np.array(
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
     1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
)  # fmt: skip
# Verhoeff's check (1969): the product of the dihedral group of ten, and powers of its permutation.
_DIHEDRAL = np.array(
    [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
     [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
     [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
     [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
)  # fmt: skip
_PERMUTED = np.array(
    [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
     [8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
     [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8]]
)  # fmt: skip


@forced
def _is_day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month]


@compiled
def _is_chinese(chain: Chain, last: int) -> bool:
    """GB 11643: region, date of birth, sequence, check; `last` is the check character."""
    province = value(chain, 0, 2)
    known = False
    for one in _PROVINCES:
        known = known or one == province
    year = value(chain, 6, 4)
    if not known or not 1900 <= year < 2100 or not _is_day(value(chain, 10, 2), value(chain, 12, 2)):
        return False
    total = 0
    for k in range(17):
        total += chain[DIGIT + k] * _CHINA[k]
    return bool(_CHINA_CHECKS[total % 11] == last)


@compiled
def _is_brazilian(chain: Chain) -> bool:
    same = True
    for count in (9, 10):
        total = 0
        for k in range(count):
            total += chain[DIGIT + k] * (count + 1 - k)
            same = same and chain[DIGIT + k] == chain[DIGIT]
        if total * 10 % 11 % 10 != chain[DIGIT + count]:
            return False
    return not same


@compiled
def _is_korean(chain: Chain) -> bool:
    if not _is_day(value(chain, 2, 2), value(chain, 4, 2)) or not 1 <= chain[DIGIT + 6] <= 8:
        return False
    total = 0
    for k in range(12):
        total += chain[DIGIT + k] * _KOREA[k]
    return bool((11 - total % 11) % 10 == chain[DIGIT + 12])


@compiled
def _is_french(chain: Chain) -> bool:
    if not 1 <= chain[DIGIT] <= 2 or not 1 <= value(chain, 3, 2) <= 12:
        return False
    return 97 - value(chain, 0, 13) % 97 == value(chain, 13, 2)


@compiled
def _is_dutch(chain: Chain) -> bool:
    total = -chain[DIGIT + 8]
    for k in range(8):
        total += chain[DIGIT + k] * (9 - k)
    return total % 11 == 0 and value(chain, 0, 9) > 0


@compiled
def _is_polish(chain: Chain) -> bool:
    if not _is_day(value(chain, 2, 2) % 20, value(chain, 4, 2)):
        return False
    total = 0
    for k in range(10):
        total += chain[DIGIT + k] * _POLAND[k]
    return bool((10 - total % 10) % 10 == chain[DIGIT + 10])


@compiled
def _is_german(chain: Chain) -> bool:
    """ISO/IEC 7064, MOD 11,10."""
    product = 10
    for k in range(10):
        total = (chain[DIGIT + k] + product) % 10
        product = (10 if total == 0 else total) * 2 % 11
    return bool(chain[DIGIT] > 0 and (11 - product) % 10 == chain[DIGIT + 10])


@compiled
def _is_indian(chain: Chain) -> bool:
    check = 0
    for k in range(12):
        check = _DIHEDRAL[check, _PERMUTED[k % 8, chain[DIGIT + 11 - k]]]
    return bool(check == 0 and chain[DIGIT] >= 2)


@compiled
def _is_swedish(chain: Chain, first: int) -> bool:
    return _is_day(value(chain, first + 2, 2), value(chain, first + 4, 2)) and passes_luhn(chain, first, 10)


@compiled
def _is_american(chain: Chain) -> bool:
    area = value(chain, 0, 3)
    if area == 0 or area == 666 or area >= 900:
        return False
    return value(chain, 3, 2) > 0 and value(chain, 5, 4) > 0


@compiled
def _grouped(chain: Chain, groups: int, end: int, sizes: tuple[int, ...], signs: tuple[int, ...]) -> bool:
    """Whether a number of groups of these sizes, with these signs between them, stands at the beginning."""
    if groups < len(sizes):
        return False
    for group in range(len(sizes)):
        if length(chain, group) != sizes[group]:
            return False
        if group + 1 < len(sizes) and chain[GAP + group] != signs[group]:
            return False
    return number_ends(chain, groups, len(sizes) - 1, end)


@compiled
def national_id_end(chain: Chain, groups: int, begin: int, at: int, end: int, countries: int) -> int:
    """Where the personal number that begins with the digit at `at` ends; 0 where there is none."""
    size = length(chain, 0)
    stop = chain[STOP]
    if size == 17 and countries & CN and stop < end and (byte_at(stop) | 0x20) == 0x78:
        return int(stop) + 1 if ends_clean(stop + 1, end) and _is_chinese(chain, 0x58) else 0
    if size == 8 and countries & ES and stop < end:
        place = stop + 1 if byte_at(stop) == HYPHEN and stop + 1 < end else stop
        if is_upper(byte_at(place)) and ends_clean(place + 1, end):
            right = _SPAIN[value(chain, 0, 8) % 23] == byte_at(place)
            return int(place) + 1 if right and stands_before(at, begin, _ES) else 0
    alone = number_ends(chain, groups, 0, end)
    if alone and size == 18 and countries & CN:
        return int(stop) if _is_chinese(chain, chain[DIGIT + 17] + 0x30) else 0
    if alone and size == 15 and countries & FR and _is_french(chain):
        return int(stop)
    if alone and size == 11:
        for bit, right, number in (
            (BR, _is_brazilian(chain), _BR),
            (PL, _is_polish(chain), _PL),
            (DE, _is_german(chain), _DE),
        ):
            if countries & bit and right and stands_before(at, begin, number):
                return int(stop)
    if alone and size == 12 and countries & IN and _is_indian(chain):
        return int(stop) if stands_before(at, begin, _IN) else 0
    if alone and size == 9 and countries & NL and _is_dutch(chain):
        return int(stop) if stands_before(at, begin, _NL) else 0
    if groups < 2 or size > 8:
        return 0
    return _of_groups(chain, groups, begin, at, end, countries)


@compiled
def _of_groups(chain: Chain, groups: int, begin: int, at: int, end: int, countries: int) -> int:
    """The same of numbers that are written in groups."""
    if countries & BR and _grouped(chain, groups, end, (3, 3, 3, 2), (DOT, DOT, HYPHEN)):
        return int(chain[STOP + 3]) if _is_brazilian(chain) else 0
    if countries & KR and _grouped(chain, groups, end, (6, 7), _HYPHENS):
        return int(chain[STOP + 1]) if _is_korean(chain) else 0
    if countries & FR and _grouped(chain, groups, end, (1, 2, 2, 2, 3, 3, 2), _SPACES):
        return int(chain[STOP + 6]) if _is_french(chain) else 0
    last, right, number = 0, False, 0
    for signs in (_HYPHENS, _SPACES):
        if _grouped(chain, groups, end, (3, 2, 4), signs):
            last, right, number = 2, countries & US > 0 and _is_american(chain), _US
        elif _grouped(chain, groups, end, (4, 4, 4), signs):
            last, right, number = 2, countries & IN > 0 and _is_indian(chain), _IN
    if _grouped(chain, groups, end, (2, 3, 3, 3), _SPACES):
        last, right, number = 3, countries & DE > 0 and _is_german(chain), _DE
    elif _grouped(chain, groups, end, (6, 4), _HYPHENS) or _grouped(chain, groups, end, (8, 4), _HYPHENS):
        last, right, number = 1, countries & SE > 0 and _is_swedish(chain, chain[FIRST + 2] - 10), _SE
    return int(chain[STOP + last]) if right and stands_before(at, begin, number) else 0


@compiled
def lettered_id_end(begin: int, at: int, end: int, countries: int) -> int:
    """Where the personal number that begins with the capital at `at` ends; 0 where there is none.

    A codice fiscale of Italy, or a NIE of Spain.
    """
    if countries & IT and at + 16 <= end and is_digit(byte_at(at + 6)) and ends_clean(at + 16, end):
        total = 0
        sound = True
        for k in range(16):
            byte = byte_at(at + k)
            if not (is_upper(byte) if _ITALY[k] == 0x4C else is_digit(byte)):
                sound = False
                break
            worth = integer(byte - 0x30) if is_digit(byte) else integer(byte - 0x37)
            if k < 15:
                total += _ITALY_ODD[worth] if k % 2 == 0 else worth % 10 if worth < 10 else worth - 10
        if sound and byte_at(at + 15) - 0x41 == total % 26:
            month = byte_at(at + 8)
            day = (byte_at(at + 9) - 0x30) * 10 + byte_at(at + 10) - 0x30
            for one in _ITALY_MONTHS:
                if one == month and (1 <= day <= 31 or 41 <= day <= 71):
                    return at + 16
    first = byte_at(at)
    if not (countries & ES and 0x58 <= first <= 0x5A):
        return 0
    place = at + 1
    if place < end and byte_at(place) == HYPHEN:
        place += 1
    number = first - 0x58
    for k in range(7):
        if place + k >= end or not is_digit(byte_at(place + k)):
            return 0
        number = number * 10 + byte_at(place + k) - 0x30
    place += 7
    if place < end and byte_at(place) == HYPHEN:
        place += 1
    if place >= end or not ends_clean(place + 1, end) or byte_at(place) != _SPAIN[number % 23]:
        return 0
    return place + 1 if stands_before(at, begin, _ES) else 0
