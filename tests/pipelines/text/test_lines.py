"""Lines and their ends, against `str`; decoding, against Python's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.text.bounds import bounds_of
from corpusmill.pipelines.text.characters import character_table
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels import lines as kernel
from corpusmill.pipelines.text.kernels.decode import before, character_at, decode
from corpusmill.pipelines.text.kernels.memory import address
from tests.oracles.filters_documents import TEXTS, documents
from tests.oracles.text_words import with_line_feeds

TABLE = character_table()


def raw(text: str) -> Any:
    return np.frombuffer(text.encode() or b"\0", np.uint8)[: len(text.encode())]


@compiled
def cut(table: Any, data: Any, size: int) -> Any:
    """(start, stop) of every line of a text, as `next_line` cuts."""
    begin, out, at, n = address(data), np.zeros((size + 1, 2), np.int64), 0, 0
    while at < size:
        stop, follow = kernel.next_line(address(table), begin + at, begin + size)
        out[n, 0], out[n, 1] = at, stop - begin
        n += 1
        at = follow - begin
    return out[:n]


@compiled
def strip(table: Any, data: Any, size: int) -> Any:
    begin = address(data)
    left = kernel.past_white_space(address(table), begin, begin + size)
    return left - begin, kernel.without_white_space(address(table), left, begin + size) - begin


@compiled
def read(data: Any, size: int) -> Any:
    """Code points by address, -1 for what is none, and where each starts; then the last ones, backwards."""
    begin, at, n = address(data), address(data), 0
    codes, starts = np.zeros(size, np.int64), np.zeros(size, np.int64)
    while at < begin + size:
        starts[n] = at - begin
        codes[n], at = character_at(at, begin + size)
        n += 1
    return codes[:n], starts[:n]


@compiled
def back(data: Any, size: int) -> Any:
    begin, at, n = address(data), address(data) + size, 0
    starts = np.zeros(size, np.int64)
    while at > begin:
        at = before(at, begin)
        starts[n] = at - begin
        n += 1
    return starts[:n]


@compiled
def first(data: Any, size: int) -> Any:
    return decode(data, 0, size)


@given(TEXTS)
def test_lines_and_ends_are_those_of_str(text: str) -> None:
    text = with_line_feeds(text)
    data = raw(text)
    assert [data[a:b].tobytes().decode() for a, b in cut(TABLE, data, len(data))] == text.splitlines()
    left, right = strip(TABLE, data, len(data))
    assert data[left:right].tobytes().decode() == text.strip()


@given(st.lists(TEXTS, max_size=4))
def test_lines_of_a_batch(texts: list[str]) -> None:
    bounds = bounds_of(documents(texts))
    found, data = bounds.lines, bounds.texts.data
    for i, text in enumerate(map(with_line_feeds, texts)):
        expected = text.split("\n")
        expected = expected if expected[-1] else expected[:-1]
        numbers = range(found.firsts[i], found.lasts[i])
        lines = [data[found.starts[n] : found.stops[n]].tobytes().decode() for n in numbers]
        assert lines == expected
        assert [found.characters[n] for n in numbers] == [len(line) for line in lines]
        assert [bool(found.flags[n] & kernel.BLANK) for n in numbers] == [not line.strip() for line in lines]
        assert [bool(found.flags[n] & kernel.BREAKS) for n in numbers] == [
            len(f"{line}a".splitlines()) > 1 for line in lines
        ]
        repeats = [line in lines[:k] for k, line in enumerate(lines)]
        assert [bool(found.flags[n] & kernel.REPEATS) for n in numbers] == repeats
        assert len({int(found.keys[n]) for n in numbers}) == len(set(lines))


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_characters_are_read_forwards_and_backwards(text: str) -> None:
    data = raw(text)
    codes, starts = read(data, len(data))
    assert codes.tolist() == list(map(ord, text))
    assert starts.tolist() == back(data, len(data)).tolist()[::-1]


@given(st.binary(max_size=12))
def test_bytes_that_are_no_utf8_are_read_one_by_one(content: bytes) -> None:
    data = np.frombuffer(content + b"\0", np.uint8)
    codes, starts = read(data, len(content))
    assert set(np.diff(starts, append=len(content)).tolist()) <= {1, 2, 3, 4}
    assert ((codes >= -1) & (codes < 0x110000)).all()
    for lead in (b"\x80", b"\xc1", b"\xf5", b"\xff", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80"):
        cut_off = np.frombuffer(lead + b"\0", np.uint8)
        assert tuple(map(int, first(cut_off, len(lead)))) == (0xFFFD, 1)
