"""Words: their plain-Python oracle, and examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.bounds import bounds_of
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels import words as kernel
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.pipelines.text.kernels.words import HAS_LETTER, NOT_SYMBOL
from tests.oracles import text_words as oracle
from tests.oracles.filters_documents import TEXTS, documents
from tests.oracles.unicode import is_letter

TABLE = ch.character_table()


def split(text: str) -> list[str]:
    """Tokens of the kernel: the bytes up to each stop, without the white space before them."""
    raw, found = text.encode(), kernel.split_words(text.encode())
    ends = zip(found.characters, found.stops, strict=True)
    return [raw[:stop].decode()[-length:] for length, stop in ends]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick (brown) fox can't.", "The|quick|(|brown|)|fox|can't|."),
        ("well-known and/or a--b", "well|-|known|and|/|or|a|--|b"),
        ("pi is 3.14, or 1,000; 10-20", "pi|is|3.14|,|or|1,000|;|10|-|20"),
        ("wait... what ...", "wait|...|what|..."),
        ("U.S. and J. Doe of NASA. It's", "U.S.|and|J.|Doe|of|NASA|.|It|'s"),
        ("x 's 5 ’S. 't", "x|'s|5|’|S.|'|t"),
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
    hashes, lengths, flags, _ = kernel.split_words(text.encode())
    assert lengths.tolist() == [len(word) for word in words]
    assert [bool(f & HAS_LETTER) for f in flags] == [any(map(is_letter, word)) for word in words]
    symbols = [all(oracle.bits(c) & ch.SYMBOL for c in word) for word in words]
    assert [not f & NOT_SYMBOL for f in flags] == symbols
    pairs = dict(zip(words, hashes.tolist(), strict=True))
    assert len(set(pairs.values())) == len(pairs)
    assert [pairs[word] for word in words] == hashes.tolist()
    assert "".join(words) == "".join(text.split())


@given(TEXTS)
def test_small_buffers_change_nothing(text: str) -> None:
    """Buffers of three tokens, filled again and again, from which the second token on."""
    raw = np.frombuffer(text.encode() or b" ", np.uint8)
    whole = kernel.split_words(text.encode())
    room, place, parts = kernel.room_for(4), kernel.new_place(0), []
    while place[0] < len(raw):
        end = fill(TABLE, raw, place, room)
        parts.append([column[1:end].copy() for column in room])
    for k, column in enumerate(whole):
        assert np.concatenate([column[:0], *(part[k] for part in parts)]).tolist() == column.tolist()


@compiled
def fill(table: Any, raw: Any, place: Any, room: Any) -> int:
    return kernel.fill_words(address(table), address(raw), place, len(raw), room, 1)


@pytest.mark.parametrize("size", range(1, 26))
def test_a_word_has_one_hash_wherever_it_stands(size: int) -> None:
    """Alone, before white space or a mark, between marks, and at the end of the text."""
    word = "abcZ0123yzABCDEFGH456789x"[:size]
    hashes = [kernel.split_words(word.encode()).hashes[0]]
    for text in (f"{word} ", f"{word},", f"({word})", f"a-{word}", f"{word}\u3002", f"an {word}"):
        hashes += [
            h for h, w in zip(kernel.split_words(text.encode()).hashes, split(text), strict=True) if w == word
        ]
    assert len(hashes) >= 7
    assert len(set(hashes)) == 1


def test_bytes_of_zero_count_in_a_hash() -> None:
    words = ["a" + "\0" * many for many in range(20)]
    assert len(set(kernel.split_words(" ".join(words).encode()).hashes.tolist())) == len(words)


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
    words = bounds_of(documents(texts)).words
    assert (words.lasts - words.firsts).tolist() == [4, 0, 0, 0, 1, 5_000, 5_000, 10_000 - 1, 1]


def test_invalid_bytes_are_read_without_fault() -> None:
    for tail in (b"\xe4", b"\xe4\xb8", b"\xf0\x9f", b"\xf7\xbf\xbf\xbf", b"\xff", b"\x80"):
        assert len(kernel.split_words(b"a " + tail).hashes) >= 2
