"""Differing passages: what is marked is what the other text lacks, on both sides, at any length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.inspection.passages import (
    PASSAGES,
    WIDTH,
    differing,
    differing_spans,
)


def marked(text: str, other: str) -> list[str]:
    return [text[start:end] for start, end in differing_spans(text, other)[0]]


def test_a_changed_word_is_marked_on_both_sides() -> None:
    one = "the quick brown fox jumps over the lazy dog and runs away"
    other = "the quick brown fox jumps over the old dog and runs away"
    assert marked(one, other) == ["lazy"]
    assert marked(other, one) == ["old"]


def test_what_was_added_removed_and_moved() -> None:
    head, tail = "one two three four five six", "seven eight nine ten eleven twelve"
    assert marked(f"{head} and more {tail}", f"{head} {tail}") == ["and more"]
    assert marked(f"{head} {tail}", f"{head} and more {tail}") == []
    assert marked(f"{tail}\n{head}", f"{head} {tail}") == []


def test_symbols_count_and_white_space_does_not() -> None:
    assert marked("a = b ( c + d ) * e ; f", "a=b(c-d)*e;f") == ["+"]
    assert marked("C++", "C#") == ["C++"]
    assert marked("a b\n\n c", "a b c") == []


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert marked("我们从网页中提取正文并且去除重复", "我们从网页中抽取正文并且去除重复") == ["提"]


def test_empty_texts() -> None:
    assert marked("", "") == marked("", "word") == []
    assert marked("a word", "") == ["a word"]


words = st.lists(st.sampled_from(["a", "b", "é", "中", "+", "word"]), max_size=30)


@given(words, words)
def test_marks_equal_the_definition(one: list[str], other: list[str]) -> None:
    text, against = " ".join(one), " ".join(other)
    width = min(WIDTH, len(one), len(other))
    runs = {tuple(other[at : at + width]) for at in range(len(other) - width + 1)} if width else set()
    common = [
        any(
            tuple(one[first : first + width]) in runs and first + width <= len(one)
            for first in range(max(0, at - width + 1), at + 1)
        )
        for at in range(len(one))
    ]
    expected = [word for word, is_common in zip(one, common, strict=True) if not is_common]
    assert " ".join(marked(text, against)).split() == expected
    mine, _ = differing(text, against)
    for passage in mine.passages:
        told = text.encode()[passage.start : passage.end].decode()
        assert told.startswith(passage.excerpt)
        assert passage.before + told in text
    assert mine.bytes == sum(p.end - p.start for p in mine.passages)


def test_of_very_many_passages_the_first_are_told() -> None:
    one = " ".join(f"x{n} same words stand here" for n in range(500))
    other = " ".join(f"y{n} same words stand here" for n in range(500))
    mine, _ = differing(one, other)
    assert len(mine.passages) == PASSAGES
    assert mine.more_passages == 500 - PASSAGES
