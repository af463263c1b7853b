"""The table of Unicode: what the generator writes, and what this Python says where it knows the character."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text import code_points, unicode_table
from corpusmill.pipelines.text.generate_unicode_table import UNICODE_VERSION, leb128, module
from tests.oracles.unicode import category, fold

CORRECTED = {"\U0001171e"}  # a mark that Unicode 16 calls Mc and 14 called Mn


@cache
def known() -> list[str]:
    """All characters of this Python's Unicode."""
    return [c for c in map(chr, range(code_points.CODE_POINTS)) if unicodedata.category(c) != "Cn"]


def test_the_committed_table_is_what_the_generator_writes() -> None:
    """Of what is unpacked from it: nobody has edited it."""
    folded = code_points.folded()
    codes = np.flatnonzero(folded != np.arange(code_points.CODE_POINTS))
    pairs = list(zip(codes.tolist(), folded[codes].tolist(), strict=True))
    assert Path(unicode_table.__file__).read_text("utf-8") == module(code_points.categories().tolist(), pairs)
    assert unicode_table.UNICODE_VERSION == UNICODE_VERSION


def test_categories_are_those_of_this_python() -> None:
    if tuple(map(int, unicodedata.unidata_version.split("."))) > tuple(map(int, UNICODE_VERSION.split("."))):
        pytest.skip(f"this Python knows Unicode {unicodedata.unidata_version}, newer than {UNICODE_VERSION}")
    assert {c for c in known() if category(c) != unicodedata.category(c)} <= CORRECTED


def test_folds_are_those_of_this_python() -> None:
    letters = [c for c in known() if category(c)[0] in "LN" or category(c) == "Mc"]
    folded = code_points.folded()
    assert [c for c in letters if folded[ord(c)] != ord(fold(c))] == []
    others = np.flatnonzero(folded != np.arange(code_points.CODE_POINTS))
    assert {category(chr(code))[0] for code in others} <= set("LNM")


def test_capitals_newer_than_this_python_fold_too() -> None:
    assert code_points.folded()[0xA7CB] == 0x264  # ram's horn, Unicode 16
    assert code_points.folded()[0x10D50] == 0x10D70  # Garay, Unicode 16


def test_the_character_table_agrees_with_str() -> None:
    table = ch.character_table()
    for character in known():
        if 0xD800 <= ord(character) < 0xE000:
            continue
        bits = int(table[ord(character)])
        assert bool(bits & ch.ALPHABETIC) == character.isalpha(), ascii(character)
        assert bool(bits & ch.ALPHANUMERIC) == character.isalnum(), ascii(character)
        assert bool(bits & ch.WHITE_SPACE) == character.isspace(), ascii(character)
        assert bool(bits & ch.LINE_BREAK) == (len(f"a{character}b".splitlines()) == 2), ascii(character)
        assert (bits & ch.WORD_CLASS == ch.SPACE) == character.isspace(), ascii(character)
    assert not table.flags.writeable
    assert len(table) == sys.maxunicode + 1


def test_tables_may_not_be_written() -> None:
    assert not code_points.categories().flags.writeable
    assert not code_points.folded().flags.writeable


def test_sets_of_code_points() -> None:
    assert code_points.ranges("0041-005A 005F") == [(0x41, 0x5A), (0x5F, 0x5F)]
    assert code_points.within("0041-0043").nonzero()[0].tolist() == [0x41, 0x42, 0x43]
    digits = code_points.in_categories("Nd")
    assert digits[ord("0")]
    assert not digits[ord("a")]
    assert (
        code_points.in_categories("L") == sum(map(code_points.in_categories, ("Lu", "Ll", "Lt", "Lm", "Lo")))
    ).all()


@given(st.lists(st.integers(0, 2**21 - 1), min_size=1))
def test_numbers_come_back(numbers: list[int]) -> None:
    import base64
    import zlib

    packed = base64.b85encode(zlib.compress(leb128(numbers))).decode()
    assert code_points.unpacked_numbers(packed).tolist() == numbers
