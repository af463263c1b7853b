"""Spans of personal data in texts, and texts with what stands in their place."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.national_ids import lettered_id_end, national_id_end
from corpusmill.filters.kernels.personal_addresses import (
    email_bounds,
    ipv4_end,
    ipv6_end,
    looks_like_ipv4,
)
from corpusmill.filters.kernels.personal_keys import (
    FORMS_BY_BYTE,
    NAME_TAILS,
    assigned_value,
    known_key_end,
    private_key_end,
)
from corpusmill.filters.kernels.personal_marks import (
    CHAIN_SIZE,
    FIRST,
    GAP,
    Bytes,
    Chain,
    Integers,
    is_digit,
    is_upper,
    is_word,
    read_chain,
    starts_clean,
)
from corpusmill.filters.kernels.personal_numbers import card_end, iban_end, international_end, phone_end
from corpusmill.filters.rules.personal_tables import CARD, EMAIL, IBAN, IP, KEY, NATIONAL_ID, PHONE
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import address, byte_at

SPACE, HYPHEN, PLUS, COLON, AT = 0x20, 0x2D, 0x2B, 0x3A, 0x40
_NOTHING, _WORD, _AT, _HYPHEN = range(4)
_CLASSES = np.array([_WORD if re.match(rb"\w", bytes([byte])) else _NOTHING for byte in range(256)], np.uint8)
_CLASSES[AT], _CLASSES[HYPHEN] = _AT, _HYPHEN


class Spans(NamedTuple):
    """k spans, sorted by (document, start) and disjoint: each int64[k].

    `start` and `end` count bytes from the beginning of the text."""

    document: Integers
    kind: Integers
    start: Integers
    end: Integers


@compiled
def _number(at: int, begin: int, end: int, chain: Chain, countries: int) -> tuple[int, int, int]:
    """Kind, first byte and end of what the digit at `at` begins; 0 as its end where it is nothing."""
    first = at
    while at < end and is_digit(byte_at(at)):
        at += 1
    size = at - first
    plus = first > begin and byte_at(first - 1) == PLUS
    before = byte_at(first - 1) if first > begin else SPACE
    if size <= 4 and 0x32 <= byte_at(first) <= 0x33 and not plus and before != COLON:
        stop = ipv6_end(first, end) if at < end and (byte_at(at) == COLON or is_word(byte_at(at))) else 0
        if stop:
            return IP, first, stop
    if at < end and is_word(byte_at(at)) and size != 8 and size != 17:
        return 0, 0, 0
    if size < 7:
        if at + 1 >= end:
            return 0, 0, 0
        sign, after = byte_at(at), byte_at(at + 1)
        joined = sign == SPACE or sign == 0x28 or sign == 0x29 or HYPHEN <= sign <= 0x2F  # - . /
        if not joined or not (is_digit(after) or after == 40 or after in (SPACE, HYPHEN)):
            return 0, 0, 0
    if plus:
        before = byte_at(first - 2) if first - 2 >= begin else 0x20
        if is_word(before) or before == PLUS or before == 0x29:
            return 0, 0, 0
        groups = read_chain(first, end, chain)
        stop = international_end(chain, groups, end) if groups and chain[FIRST + groups] >= 8 else 0
        return PHONE, first - 1, stop
    if not starts_clean(first, begin):
        return 0, 0, 0
    groups = read_chain(first, end, chain)
    if groups == 0:
        return 0, 0, 0
    if looks_like_ipv4(chain, groups):
        return IP, first, ipv4_end(chain, begin, first, end)
    digits = chain[FIRST + groups]
    if digits < 7:
        return 0, 0, 0
    if digits >= 13:
        stop = card_end(chain, groups, begin, first, end)
        if stop:
            return CARD, first, stop
    if digits >= 8:
        stop = national_id_end(chain, groups, begin, first, end, countries)
        if stop:
            return NATIONAL_ID, first, stop
    opened = first > begin and byte_at(first - 1) == 0x28 and chain[GAP] == 0x29
    return PHONE, first - 1 if opened else first, phone_end(chain, groups, begin, first, end)


@forced
def _lettered(at: int, begin: int, end: int, countries: int, least: float) -> tuple[int, int]:
    """Kind and end of what the letter at `at`, the first of its word, begins; 0 as its end for nothing."""
    byte = byte_at(at)
    if FORMS_BY_BYTE[byte] < FORMS_BY_BYTE[byte + 1] and (at == begin or byte_at(at - 1) != HYPHEN):
        stop = known_key_end(at, end, least)
        if stop:
            return KEY, stop
    if is_upper(byte):
        stop = iban_end(at, end)
        if stop:
            return IBAN, stop
        stop = lettered_id_end(begin, at, end, countries)
        if stop:
            return NATIONAL_ID, stop
    return 0, 0


@compiled
def find_spans(offsets: Integers, data: Bytes, countries: int, least: float) -> Spans:
    """Personal data in the texts `data[offsets[i]:offsets[i + 1]]`.

    `countries`: bits of those whose numbers are looked for; `least`: bits of entropy a byte of a secret.
    """
    found = np.empty((4, 256), np.int64)
    n = 0
    chain = np.zeros(CHAIN_SIZE, np.int64)
    base = address(data)
    for i in range(len(offsets) - 1):
        begin, end = base + offsets[i], base + offsets[i + 1]
        at = free = begin
        while at < end:
            byte = byte_at(at)
            mark = _CLASSES[byte]
            if mark == _NOTHING:
                at += 1
                continue
            kind = start = stop = 0
            after = at + 1
            if mark == _WORD:
                if is_digit(byte):
                    kind, start, stop = _number(at, begin, end, chain, countries)
                else:
                    start = at
                    kind, stop = _lettered(at, begin, end, countries, least)
                while after < end and _CLASSES[byte_at(after)] == _WORD:
                    after += 1
                if stop == 0 and NAME_TAILS[byte_at(after - 1) | 0x20]:
                    kind = KEY
                    start, stop = assigned_value(begin, after, end, least)
            elif mark == _AT:
                kind = EMAIL
                start, stop = email_bounds(at, free, end)
            elif after < end and byte_at(after) == HYPHEN and (at == begin or byte_at(at - 1) != HYPHEN):
                kind, start = KEY, at
                stop = private_key_end(at, end)
                while after < end and byte_at(after) == HYPHEN:
                    after += 1
            at = after
            if stop == 0:
                continue
            at = free = stop
            if n == found.shape[1]:
                more = np.empty((4, 2 * n), np.int64)
                more[:, :n] = found
                found = more
            found[0, n], found[1, n], found[2, n], found[3, n] = i, kind, start - begin, stop - begin
            n += 1
    return Spans(found[0, :n].copy(), found[1, :n].copy(), found[2, :n].copy(), found[3, :n].copy())


@compiled
def with_placeholders(
    offsets: Integers,
    data: Bytes,
    spans: Spans,
    chosen: npt.NDArray[np.bool_],
    starts: Integers,
    words: Bytes,
) -> tuple[Integers, Bytes]:
    """The texts with `words[starts[kind]:starts[kind + 1]]` in the place of the spans that are `chosen`.

    Offsets int64[n + 1] and bytes.
    """
    n = len(offsets) - 1
    size = offsets[n] - offsets[0]
    for k in range(len(chosen)):
        if chosen[k]:
            kind = spans.kind[k]
            size += starts[kind + 1] - starts[kind] - (spans.end[k] - spans.start[k])
    new_offsets, new = np.zeros(n + 1, np.int64), np.empty(size, np.uint8)
    to = k = 0
    for i in range(n):
        at = offsets[i]
        while k < len(chosen) and spans.document[k] == i:
            if chosen[k]:
                start, kind = offsets[i] + spans.start[k], spans.kind[k]
                new[to : to + start - at] = data[at:start]
                to += start - at
                low, high = starts[kind], starts[kind + 1]
                new[to : to + high - low] = words[low:high]
                to += high - low
                at = offsets[i] + spans.end[k]
            k += 1
        new[to : to + offsets[i + 1] - at] = data[at : offsets[i + 1]]
        to += offsets[i + 1] - at
        new_offsets[i + 1] = to
    return new_offsets, new
