"""The shared segmentation: its plain-Python oracle, examples, and the character table."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels import lines as lines_kernel
from corpusmill.filters.kernels import words as kernel
from corpusmill.filters.kernels.words import HAS_LETTER, NOT_SYMBOL
from tests.oracles import filters_words as oracle
from tests.oracles.filters_documents import TEXTS, documents

TABLE = ch.character_table()


def split(text: str) -> list[str]:
    """Tokens of the kernel: the bytes up to each stop, without the white space before them."""
    raw = text.encode()
    _, lengths, _, stops = kernel.split_words(TABLE, np.frombuffer(raw, np.uint8))
    words = []
    for length, stop in zip(lengths, stops, strict=True):
        words.append(raw[:stop].decode()[-length:])
    return words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick (brown) fox can't.", "The|quick|(|brown|)|fox|can't|."),
        ("well-known and/or a--b", "well|-|known|and|/|or|a|--|b"),
        ("pi is 3.14, or 1,000; 10-20", "pi|is|3.14|,|or|1,000|;|10|-|20"),
        ("wait... what ...", "wait|...|what|..."),
        ("U.S. and J. Doe of NASA. It's", "U.S.|and|J.|Doe|of|NASA|.|It|'s"),
        ("end.Next e.g", "end|.|Next|e.g"),
        ("see http://a.b/c?d=e, ok", "see|http://a.b/c?d=e|,|ok"),
        ("中国，你好。abc中文", "中|国|，|你|好|。|abc|中|文"),
        ("カタカナとabc 한국어", "カタカナ|と|abc|한국어"),
        ("e\u0301tude ไม่", "e\u0301tude|ไ|ม่"),
        ("***** $5.00 5% x_1", "*|*|*|*|*|$|5.00|5|%|x_1"),
        ("\\frac{a}{b}", "\\frac{a}{b|}"),
        ("a\0b \u200b", "a\0b|\u200b"),
        ("", ""),
        (" \t\u3000\x85\n", ""),
    ],
)
def test_examples(text: str, words: str) -> None:
    assert split(text) == [word for word in words.split("|") if word]


@given(TEXTS)
def test_oracle(text: str) -> None:
    assert split(text) == oracle.split_words(text)


@given(TEXTS)
def test_facts_of_tokens(text: str) -> None:
    words = split(text)
    hashes, lengths, flags, _ = kernel.split_words(TABLE, np.frombuffer(text.encode(), np.uint8))
    assert lengths.tolist() == [len(word) for word in words]
    assert [bool(f & HAS_LETTER) for f in flags] == [any(map(str.isalpha, word)) for word in words]
    symbols = [all(oracle.bits(c) & ch.SYMBOL for c in word) for word in words]
    assert [not f & NOT_SYMBOL for f in flags] == symbols
    pairs = dict(zip(words, hashes.tolist(), strict=True))
    assert len(set(pairs.values())) == len(pairs)
    assert [pairs[word] for word in words] == hashes.tolist()
    assert "".join(words) == "".join(text.split())


@given(TEXTS)
def test_small_buffers_change_nothing(text: str) -> None:
    raw = np.frombuffer(text.encode(), np.uint8)
    whole = kernel.split_words(TABLE, raw)
    room = kernel.buffer(3)
    place, parts = kernel.new_place(0), []
    while place[0] < len(raw):
        found = kernel.fill_words(TABLE, raw, place, len(raw), *room)
        parts.append([column[:found].copy() for column in room])
    for k, column in enumerate(whole):
        assert np.concatenate([column[:0], *(part[k] for part in parts)]).tolist() == column.tolist()


def test_counts_and_giants() -> None:
    texts = [
        "one two, three",
        None,
        "",
        " ",
        "x" * 2_000_000,
        "(" * 5_000,
        "中" * 5_000,
        "a-" * 5_000,
        "." * 5_000,
    ]
    counts = kernel.count_words(TABLE, *documents(texts).utf8())
    assert counts.tolist() == [4, 0, 0, 0, 1, 5_000, 5_000, 10_000 - 1, 1]


@given(TEXTS)
def test_lines(text: str) -> None:
    raw = np.frombuffer(text.encode(), np.uint8)
    at, lines = 0, []
    while at < len(raw):
        stop, follow = lines_kernel.next_line(TABLE, raw, at, len(raw))
        lines.append(raw[at:stop].tobytes().decode())
        at = follow
    assert lines == text.splitlines()
    left = lines_kernel.strip_left(TABLE, raw, 0, len(raw))
    right = lines_kernel.strip_right(TABLE, raw, left, len(raw))
    assert raw[left:right].tobytes().decode() == text.strip()
    assert lines_kernel.count_characters(np.array([0, len(raw)]), raw).tolist() == [len(text)]


def test_character_table_agrees_with_str() -> None:
    assert unicodedata.unidata_version == ch.UNICODE_VERSION
    for code in (*range(0x323B0), *range(0xE0000, 0xE01F0)):
        if 0xD800 <= code < 0xE000:
            continue
        character, bits = chr(code), int(TABLE[code])
        assert bool(bits & ch.ALPHABETIC) == character.isalpha(), hex(code)
        assert bool(bits & ch.ALPHANUMERIC) == character.isalnum(), hex(code)
        assert bool(bits & ch.WHITE_SPACE) == character.isspace(), hex(code)
        assert bool(bits & ch.LINE_BREAK) == (len(f"a{character}b".splitlines()) == 2), hex(code)
        assert (bits & ch.WORD_CLASS == ch.SPACE) == character.isspace(), hex(code)
    assert not TABLE.flags.writeable
    assert len(TABLE) == sys.maxunicode + 1


def test_invalid_bytes_are_read_without_fault() -> None:
    for tail in (b"\xe4", b"\xe4\xb8", b"\xf0\x9f", b"\xf7\xbf\xbf\xbf", b"\xff", b"\x80"):
        raw = np.frombuffer(b"a " + tail, np.uint8)
        assert len(kernel.split_words(TABLE, raw)[0]) >= 2
