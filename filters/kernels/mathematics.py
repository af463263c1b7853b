"""Counts of the evidence that a text is mathematical."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled, forced, inlined, integer
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.memory import address, byte_at
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.kernels.sorted_hashes import place_of
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.kernels.words import split_words
from corpusmill.pipelines.text.mixing import FNV_PRIME, FNV_START, GOLDEN
from corpusmill.pipelines.text.views import Texts, Words

ALPHABETIC, MATHEMATICAL = ch.ALPHABETIC, ch.MATHEMATICAL

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LONGEST_SPAN = 400  # bytes


class MathCounts(NamedTuple):
    """Each int64[n], one number a document; see `MathScore`."""

    commands: Counts
    spans: Counts
    displays: Counts
    signs: Counts
    equations: Counts
    terms: Counts
    tokens: Counts


class Vocabulary(NamedTuple):
    """Sorted hashes of what is looked up."""

    commands: Hashes
    """FNV-1a of the letters of TeX commands."""
    environments: Hashes
    terms: Hashes
    """`term_hash`es of one or two tokens."""


@forced
def _is_letter(byte: int) -> bool:
    return 0x61 <= (byte | 0x20) <= 0x7A


@compiled
def _name(at: int, end: int) -> tuple[Any, int]:
    """Hash of the letters at `at`, and where they end."""
    value = FNV_START
    while at < end and _is_letter(byte_at(at)):
        value = (value ^ np.uint64(byte_at(at))) * FNV_PRIME
        at += 1
    return value, at


@inlined
def _holds(hashes: Hashes, value: Any) -> bool:
    """Whether `value` is in the sorted `hashes`."""
    return place_of(hashes, value, 0, len(hashes)) >= 0


@compiled
def _is_digit(at: int, end: int) -> bool:
    return at < end and 0x30 <= byte_at(at) <= 0x39


@compiled
def _dollar_span(at: int, end: int) -> int:
    """Bytes of the span `$...$` or `$$...$$` that opens at `at`, 0 for none.

    As in Pandoc's tex_math_dollars: no white space directly inside single dollars, no digit behind the
    closing one, no blank line between; and, so that prices and shell variables do not count, at most 400
    bytes, with one of `\\\\ ^ _ = < > + * ( |` or a single letter inside.
    """
    double = at + 1 < end and byte_at(at + 1) == 0x24
    start = at + 2 if double else at + 1
    if start >= end or (not double and byte_at(start) <= 0x20):
        return 0
    marked = False
    k = start
    while k < end and k - start < LONGEST_SPAN:
        byte = byte_at(k)
        if byte == 0x5C:
            marked = True
            k += 2
            continue
        if byte == 0x0A and k + 1 < end and byte_at(k + 1) == 0x0A:
            return 0
        if byte == 0x24:
            if double:
                if k + 1 < end and byte_at(k + 1) == 0x24 and k > start:
                    return k + 2 - at
                return 0
            if byte_at(k - 1) <= 0x20 or _is_digit(k + 1, end):
                return 0
            letter = k - start == 1 and _is_letter(byte_at(start))
            return k + 1 - at if marked or letter else 0
        # ^ _ = < > + * ( |
        if byte in (0x5E, 0x5F, 0x3D, 0x3C, 0x3E, 0x2B, 0x2A, 0x28, 0x7C):
            marked = True
        k += 1
    return 0


@compiled
def _is_equation(at: int, start: int, end: int) -> bool:
    """Whether the sign at `at` is behind a digit, `)` or `%` and before a digit (over spaces, `-`, `$`)."""
    left = at - 1
    while left >= start and byte_at(left) == 0x20:
        left -= 1
    right = at + (2 if byte_at(at) >= 0x80 else 1)
    while right < end and (byte_at(right) == 0x20 or byte_at(right) == 0x2D or byte_at(right) == 0x24):
        right += 1
    if left < start or right >= end or not _is_digit(right, end):
        return False
    return bool(0x30 <= byte_at(left) <= 0x39 or byte_at(left) == 0x29 or byte_at(left) == 0x25)


@compiled
def notation_counts(texts: Texts, vocabulary: Vocabulary) -> Counts:
    """Of each document commands, spans, displays, signs and equations: int64[5, n]."""
    n = len(texts.starts)
    table, begin = address(texts.table), address(texts.data)
    found = np.zeros((5, n), np.int64)
    for i in range(n):
        commands = spans = displays = signs = equations = 0
        start, end = begin + texts.starts[i], begin + texts.ends[i]
        at = start
        previous = integer(0)
        while at < end:
            byte = byte_at(at)
            if byte == 0x5C and at + 1 < end:
                following = byte_at(at + 1)
                if following == 0x5B or following == 0x28:
                    displays += 1
                    at += 2
                    continue
                value, stop = _name(at + 1, end)
                if stop - at > 2 and _holds(vocabulary.commands, value):
                    commands += 1
                elif stop - at == 6 and stop < end and byte_at(stop) == 0x7B and following == 0x62:
                    name, _ = _name(stop + 1, end)
                    displays += _holds(vocabulary.environments, name)
                at = stop if stop > at + 1 else at + 1 + (following < 0x80)
                previous = integer(0)
                continue
            if byte == 0x24:
                size = _dollar_span(at, end)
                if size:
                    spans += 1
                    inside = at + 1
                    # TeX commands inside count too.
                    while inside < at + size:
                        if byte_at(inside) == 0x5C:
                            value, stop = _name(inside + 1, end)
                            commands += stop - inside > 2 and _holds(vocabulary.commands, value)
                            inside = stop - 1
                        inside += 1
                    at += size
                    previous = integer(0)
                    continue
            if byte < 0x80:
                if byte in (0x3D, 0x2B, 0x2A):
                    equations += _is_equation(at, start, end)
                previous = byte
                at += 1
                continue
            code, follow = code_at(at, end)
            if code == 0xD7 or code == 0xF7:
                equations += _is_equation(at, start, end)
            bits = properties(table, code)
            if bits & MATHEMATICAL:
                # A letter counts when it stands alone: mathematics, not Greek.
                alone = not properties(table, previous) & ALPHABETIC
                if alone and bits & ALPHABETIC and follow < end:
                    after, _ = code_at(follow, end)
                    alone = not properties(table, after) & ALPHABETIC
                signs += alone or not bits & ALPHABETIC
            previous = code
            at = follow
        found[0, i], found[1, i], found[2, i], found[3, i] = commands, spans, displays, signs
        found[4, i] = equations
    return found


@compiled
def term_counts(words: Words, vocabulary: Vocabulary, before: Hashes) -> Counts:
    """Terms among the words of each document, int64[n], of which `before`, uint64[n], are the words before;
    those are the last ones then."""
    n = len(words.firsts)
    found = np.zeros(n, np.int64)
    for i in range(n):
        last = before[i]
        for k in range(words.firsts[i], words.lasts[i]):
            value = words.hashes[k]
            if words.characters[k] > 2:
                found[i] += _holds(vocabulary.terms, mix(value))
            elif words.characters[k] == 1:
                found[i] += _holds(vocabulary.terms, mix(mix(last) * GOLDEN + value))
            last = value
        before[i] = last
    return found


@compiled
def name_hash(name: Bytes) -> Any:
    """Hash of the name of a TeX command or environment, letters of ASCII."""
    return _name(address(name), address(name) + len(name))[0]


@compiled
def term_hash(hashes: Hashes) -> Any:
    """Hash of a term of one token, or of two that are one character each."""
    if len(hashes) == 1:
        return mix(hashes[0])
    return mix(mix(hashes[0]) * GOLDEN + hashes[1])


def vocabulary(commands: Iterable[str], environments: Iterable[str], terms: Iterable[str]) -> Vocabulary:
    """Names of ASCII, and words."""

    def names(texts: Iterable[str]) -> Hashes:
        return np.unique(np.array([name_hash(np.frombuffer(n.encode(), np.uint8)) for n in texts], np.uint64))

    tokens = [split_words(term.encode()).hashes for term in terms]
    return Vocabulary(
        names(commands),
        names(environments),
        np.unique(np.array([term_hash(hashes) for hashes in tokens], np.uint64)),
    )
