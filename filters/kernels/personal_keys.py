"""Keys, tokens and passwords in code and logs, as `personal_data` finds them."""

from __future__ import annotations

import numpy as np

from corpusmill.filters.kernels.personal_marks import (
    folded,
    is_alphanumeric,
    is_digit,
    is_letter,
    is_lower,
    is_upper,
    is_word,
)
from corpusmill.filters.rules.personal_tables import KEY_FORMS, KEY_NAMES, LEAST_KEY, MOST_KEY
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at

_ALPHABETS = "Aw_-h"
_RULES = ("", "random", "jwt", "sendgrid")
RANDOM, JWT, SENDGRID = 1, 2, 3
ASSIGNED = 5  # the alphabet of values: letters, digits and `_ + / ~ -`
HYPHEN, DOT, SPACE, EQUALS, COLON, FEED = 0x2D, 0x2E, 0x20, 0x3D, 0x3A, 0x0A


# Form i begins with `_HEADS[_STARTS[i]:_STARTS[i + 1]]`; forms that begin with byte b are those from
# `FORMS_BY_BYTE[b]` to `FORMS_BY_BYTE[b + 1]`. Name j is `_NAMES[_ENDS[j]:_ENDS[j + 1]]`.
_SORTED = sorted(KEY_FORMS)
_BEGINNINGS = [form[0].encode() for form in _SORTED]
FORMS_BY_BYTE = np.searchsorted([head[0] for head in _BEGINNINGS], np.arange(257))
_STARTS = np.cumsum([0, *map(len, _BEGINNINGS)])
_HEADS = np.frombuffer(b"".join(_BEGINNINGS), np.uint8)
_ALPHABET = np.array([_ALPHABETS.index(form[1]) for form in _SORTED])
_FEWEST = np.array([form[2] for form in _SORTED])
_MOST = np.array([form[3] for form in _SORTED])
_RULE = np.array([_RULES.index(form[4]) for form in _SORTED])
_ENDS = np.cumsum([0, *map(len, KEY_NAMES)])
_NAMES = np.frombuffer("".join(KEY_NAMES).encode("ascii"), np.uint8)
NAME_TAILS = np.isin(np.arange(256), [ord(name[-1]) for name in KEY_NAMES]).astype(np.uint8)
"""Of every byte: whether a name ends with it."""
_WEIGHTS = np.arange(MOST_KEY + 2) * np.log2(np.maximum(np.arange(MOST_KEY + 2), 1))
"""c log2 c of every count c."""


@forced
def _is_of(byte: int, alphabet: int) -> bool:
    if alphabet == 0:
        return is_upper(byte) or is_digit(byte)
    if alphabet == 4:
        return is_digit(byte) or 0x61 <= byte <= 0x66
    if is_alphanumeric(byte):
        return True
    if byte == 0x5F:
        return alphabet >= 2
    if byte == HYPHEN:
        return alphabet == 3 or alphabet == ASSIGNED
    return alphabet == ASSIGNED and (byte == 0x2B or byte == 0x2F or byte == 0x7E)


@compiled
def _run(at: int, end: int, alphabet: int, most: int) -> int:
    """Bytes of an alphabet at `at`, at most one more than `most`."""
    place = at
    while place < end and place - at <= most and _is_of(byte_at(place), alphabet):
        place += 1
    return place - at


@compiled
def is_random(at: int, stop: int, least: float) -> bool:
    """Whether up to 512 bytes look drawn at random: `least` bits of entropy a byte, a digit and a letter,
    and between neighbours as many changes from letter to digit, back, or to upper case as a sixth of them.
    """
    counts = np.zeros(128, np.int64)
    digits = letters = changes = 0
    before = 0
    for place in range(at, stop):
        byte = byte_at(place)
        counts[byte] += 1
        digits += is_digit(byte)
        letters += is_letter(byte)
        if is_digit(byte):
            changes += is_letter(before)
        elif is_letter(byte):
            changes += is_digit(before) or (is_upper(byte) and is_lower(before))
        before = byte
    size = stop - at
    total = 0.0
    for count in counts:
        total += _WEIGHTS[count]
    entropy = (_WEIGHTS[size] - total) / size
    return digits > 0 and letters > 0 and 6 * changes >= size and entropy >= least


@compiled
def known_key_end(at: int, end: int, least: float) -> int:
    """Where the key with a known beginning at `at`, the start of a word, ends; 0 where there is none."""
    first = byte_at(at)
    for form in range(FORMS_BY_BYTE[first], FORMS_BY_BYTE[first + 1]):
        low, high = _STARTS[form], _STARTS[form + 1]
        if at + high - low > end:
            continue
        same = True
        for k in range(1, high - low):
            if byte_at(at + k) != _HEADS[low + k]:
                same = False
                break
        if not same:
            continue
        start, alphabet, rule = at + high - low, _ALPHABET[form], _RULE[form]
        size = _run(start, end, alphabet, _MOST[form])
        if size < _FEWEST[form] or size > _MOST[form]:
            continue
        stop = start + size
        if rule == JWT:
            stop = _rest_of_jwt(stop, end)
        elif rule == SENDGRID:
            more = _run(stop + 1, end, alphabet, 43) if stop < end and byte_at(stop) == DOT else 0
            stop = stop + 44 if more == 43 else 0
        elif rule == RANDOM and not is_random(start, stop, least):
            stop = 0
        if stop and not (stop < end and is_word(byte_at(stop))) and not _is_example(stop):
            return int(stop)
    return 0


@forced
def _is_example(stop: int) -> bool:
    """Whether `EXAMPLE` stands before `stop`, as in the keys of AWS's documentation."""
    word = (0x45, 0x58, 0x41, 0x4D, 0x50, 0x4C, 0x45)
    for k in range(7):  # noqa: SIM110
        if byte_at(stop - 7 + k) != word[k]:
            return False
    return True


@forced
def _rest_of_jwt(at: int, end: int) -> int:
    """Where a JSON web token (RFC 7519) ends whose header ends at `at`; 0 where claims or signature lack."""
    if at + 4 >= end or byte_at(at) != DOT or byte_at(at + 1) != 0x65 or byte_at(at + 2) != 0x79:
        return 0
    claims = _run(at + 1, end, 3, 65_536)
    at += 1 + claims
    if claims < 8 or claims > 65_536 or at >= end or byte_at(at) != DOT:
        return 0
    signature = _run(at + 1, end, 3, 4096)
    return at + 1 + signature if 8 <= signature <= 4096 else 0


@compiled
def _names_a_secret(begin: int, at: int) -> bool:
    """Whether one of the names ends at `at`."""
    for name in range(len(_ENDS) - 1):
        low, high = _ENDS[name], _ENDS[name + 1]
        if at - begin < high - low:
            continue
        same = True
        for k in range(1, high - low + 1):
            if folded(byte_at(at - k)) != _NAMES[high - k]:
                same = False
                break
        if same:
            return True
    return False


@forced
def _past_spaces(at: int, end: int) -> int:
    """Behind up to three spaces or tabs."""
    last = min(end, at + 3)
    while at < last and (byte_at(at) == SPACE or byte_at(at) == 0x09):
        at += 1
    return at


@forced
def _is_quote(byte: int) -> bool:
    return byte == 0x22 or byte == 0x27 or byte == 0x60


@compiled
def assigned_value(begin: int, at: int, end: int, least: float) -> tuple[int, int]:
    """The secret that is given to the name which ends at `at`: its first byte and the one behind it.

    Between name and value stand `=`, `:`, `=>` or `:=`, with up to three spaces around, and quotes and `]`
    may stand on either side; the value are 16 to 512 letters, digits and `_+/~-`, with up to two `=` at its
    end, that look random. (0, 0) where there is none.
    """
    if at >= end:
        return 0, 0
    place = at
    while place < end and place < at + 2 and (_is_quote(byte_at(place)) or byte_at(place) == 0x5D):
        place += 1
    place = _past_spaces(place, end)
    if place >= end or (byte_at(place) != EQUALS and byte_at(place) != COLON):
        return 0, 0
    place += 1
    if place < end and (byte_at(place) == EQUALS or byte_at(place) == 0x3E):
        place += 1
    place = _past_spaces(place, end)
    if place < end and _is_quote(byte_at(place)):
        place += 1
    size = _run(place, end, ASSIGNED, MOST_KEY)
    if size < LEAST_KEY or size > MOST_KEY or not _names_a_secret(begin, at):
        return 0, 0
    stop = place + size
    padded = stop
    while padded < end and padded < stop + 2 and byte_at(padded) == EQUALS:
        padded += 1
    after = byte_at(padded) if padded < end else SPACE
    goes_on = after == DOT and padded + 1 < end and is_word(byte_at(padded + 1))
    if goes_on or is_word(after) or after == 0x28 or after == 0x5B or not is_random(place, stop, least):
        return 0, 0
    return place, padded


@forced
def _stands(at: int, end: int, text: tuple[int, ...]) -> bool:
    if at + len(text) > end:
        return False
    for k in range(len(text)):  # noqa: SIM110
        if byte_at(at + k) != text[k]:
            return False
    return True


_DASHES = (HYPHEN,) * 5
_BEGIN = (*_DASHES, *b"BEGIN ")
_END = (*_DASHES, *b"END ")
_PRIVATE = tuple(b"PRIVATE KEY")
_BLOCK = tuple(b" BLOCK")


@compiled
def private_key_end(at: int, end: int) -> int:
    """Where the block of a private key (RFC 7468, RFC 4880) at `at` ends; 0 where there is none.

    From `-----BEGIN ... PRIVATE KEY-----` to the line that ends the block; where the next five hyphens are
    those of something else, or none, up to these or the end of the text.
    """
    if not _stands(at, end, _BEGIN):
        return 0
    place = at + len(_BEGIN)
    last = min(end, place + 32)
    while place < last and (is_upper(byte_at(place)) or byte_at(place) == SPACE or is_digit(byte_at(place))):
        if _stands(place, end, _PRIVATE):
            break
        place += 1
    if not _stands(place, end, _PRIVATE):
        return 0
    place += len(_PRIVATE)
    if _stands(place, end, _BLOCK):
        place += len(_BLOCK)
    if not _stands(place, end, _DASHES):
        return 0
    place += len(_DASHES)
    while place < end and not (byte_at(place) == HYPHEN and _stands(place, end, _DASHES)):
        place += 1
    if not _stands(place, end, _END):
        return place
    place += 9
    while place < end and byte_at(place) != HYPHEN and byte_at(place) != FEED:
        place += 1
    return place + 5 if _stands(place, end, _DASHES) else place
