"""Counts behind OpenCoder's rules on source files: hexadecimal numbers, and lines that repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.characters import WHITE_SPACE
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.key_sets import enter, no_keys, with_room
from corpusmill.pipelines.text.kernels.lines import next_line
from corpusmill.pipelines.text.kernels.memory import address, byte_at
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.mixing import GOLDEN
from corpusmill.pipelines.text.views import Texts

Counts = npt.NDArray[np.int64]

_AT_ONCE = 1024  # lines for which sets have room


@compiled
def _is_word(byte: int) -> bool:
    """Whether a byte is a letter or digit of ASCII or `_`."""
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x7A or byte == 0x5F


@compiled
def hexadecimal_characters(texts: Texts) -> Counts:
    """Characters of each document in words of `0x` and hexadecimal digits, int64[n]."""
    found = np.zeros(len(texts.starts), np.int64)
    begin = address(texts.data)
    for i in range(len(found)):
        at, end = begin + texts.starts[i], begin + texts.ends[i]
        while at < end:
            start = at
            digits = at + 2 < end and byte_at(at) == 0x30 and byte_at(at + 1) | 0x20 == 0x78
            while at < end and _is_word(byte_at(at)):
                byte = byte_at(at)
                hexadecimal = 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66
                digits = digits and (hexadecimal or at == start + 1)
                at += 1
            if digits and at > start + 2:
                found[i] += at - start
            at += at == start
    return found


@compiled
def _line_key(table: int, at: int, stop: int) -> tuple[Any, int]:
    """A key of the characters between two addresses that are no white space; how many there are."""
    key, many = np.uint64(0), 0
    while at < stop:
        code, at = code_at(at, stop)
        if not properties(table, code) & WHITE_SPACE:
            key = (key ^ np.uint64(code)) * GOLDEN
            key ^= key >> np.uint64(32)
            many += 1
    return mix(key ^ np.uint64(many)), many


@compiled
def repeated_lines(texts: Texts) -> tuple[Counts, Counts]:
    """Of each document how many lines stand there more than once, and how many are not blank, int64[n] each.

    Lines are cut as `str.splitlines` does, and compared without white space; of one character, or `},`, they
    repeat nothing. Memory: 12 to 24 bytes a distinct line, and as much for each that repeats.
    """
    n = len(texts.starts)
    repeated, filled = np.zeros(n, np.int64), np.zeros(n, np.int64)
    table, begin = address(texts.table), address(texts.data)
    for i in range(n):
        at, end = begin + texts.starts[i], begin + texts.ends[i]
        once, more = no_keys(), no_keys()
        entered = twice = lines = 0
        while at < end:
            if lines % _AT_ONCE == 0:
                once, more = with_room(once, entered, _AT_ONCE), with_room(more, twice, _AT_ONCE)
            lines += 1
            stop, follow = next_line(table, at, end)
            key, many = _line_key(table, at, stop)
            bracket = many == 2 and _is_bracket(table, at, stop)
            at = follow
            filled[i] += many > 0
            if many < 2 or bracket:
                continue
            if not enter(once, key):
                entered += 1
            elif enter(more, key):
                repeated[i] += 1
            else:
                twice += 1
                repeated[i] += 2
    return repeated, filled


@compiled
def _is_bracket(table: int, at: int, stop: int) -> bool:
    """Whether a line of two characters other than white space is `},`."""
    first = 0
    while at < stop:
        code, at = code_at(at, stop)
        if code == 0x2C and first == 0x7D:
            return True
        if not properties(table, code) & WHITE_SPACE:
            first = code
    return False
