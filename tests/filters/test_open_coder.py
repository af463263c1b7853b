"""`open_coder`: each rule by a file that breaks it, counts against plain Python, laws."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.open_coder import OpenCoder
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

GOOD = "".join(f"def value_{n}(width):\n    return width * {n} + offset\n" for n in range(12))
LINES = st.lists(
    st.sampled_from(
        ["x = 1", "  x = 1", "},", "}", "assert a", "# todo", "// FIXME later", "todo()", "0xAB", ""]
    )
    | TEXTS,
    max_size=12,
).map("\n".join)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        (None, "short_file"),
        ("x = 1\n" * 5, "short_file"),
        ("a longer line of a program, and nothing else\n" * 9, "few_lines"),
        ("ab\n" * 40, "short_mean_line"),
        ("= + - * / ( ) [ ] { } ; : , . ab\n" * 12, "few_letters"),
        (GOOD + "1234567890" * 200, "few_letters"),
        ("value 1234\n" * 2 + "".join(f"item{n} 55\n" for n in range(30)), "many_digits"),
        ("".join(f"value{'x' * n}          \n" for n in range(12)), "much_white_space"),
        (GOOD + "\ufffd" * 12, "replacement_characters"),
        (GOOD * 2, "repeated_lines"),
        (GOOD + "# TODO: finish\n", "unfinished"),
        ("".join(f"assertEqual(value_{'a' * n}, other)\n" for n in range(12)), "assertions"),
    ],
)
def test_each_rule(text: str | None, reason: str | None) -> None:
    assert reasons(OpenCoder(), [text], path=["a.py"]) == [reason]


def test_hexadecimal_numbers_alone() -> None:
    text = GOOD + "".join(f"0xABCDEFABCDEFABCDEF{n:02d},\n" for n in range(70))
    assert reasons(OpenCoder(), [text], path=["a.c"]) == ["hexadecimal"]


def test_data_and_prose_may_speak_of_things_to_do() -> None:
    text = GOOD + "# TODO: finish\n"
    assert reasons(OpenCoder(), [text] * 3, path=["a.md", "b.yaml", "c.rs"]) == [None, None, "unfinished"]


def test_limits() -> None:
    (value,) = OpenCoder().score(documents([GOOD]))["letters"].to_pylist()  # type: ignore[union-attr]
    assert reasons(OpenCoder(min_letters=value), [GOOD]) == [None]
    assert reasons(OpenCoder(min_letters=value + 1e-6), [GOOD]) == ["few_letters"]
    off = dict.fromkeys(OpenCoder.model_fields)
    assert reasons(OpenCoder(**off), ["", "ab\n" * 40]) == [None, None]


@settings(max_examples=60)
@given(LINES)
def test_counts_are_those_of_plain_python(text: str) -> None:
    scores = OpenCoder().score(documents([text], path=["a.py"]))

    def told(name: str) -> float | None:
        column = scores[name]
        value: float | None = column.to_pylist()[0] if hasattr(column, "to_pylist") else column[0]
        return value

    def share(part: int, whole: int) -> object:
        return pytest.approx(part / whole) if whole else None

    lines = [re.sub(r"\s+", "", line) for line in text.splitlines()]
    counts = Counter(line for line in lines if line)
    repeated = sum(n for line, n in counts.items() if n > 1 and len(line) > 1 and line != "},")
    assert told("bytes") == len(text.encode())
    assert told("characters") == len(text)
    assert told("repeated_lines") == share(repeated, counts.total())
    plain = text.split("\n")
    assert told("assert_lines") == share(sum("assert" in line.lower() for line in plain), counts.total())
    hexadecimal = sum(map(len, re.findall(r"(?a)\b0[xX][0-9a-fA-F]+\b", text)))
    assert told("hexadecimal") == share(hexadecimal, len(text))
    assert told("white_space") == share(sum(map(str.isspace, text)), len(text))
    assert told("replacement") == share(text.count("\ufffd"), len(text))


@settings(max_examples=20)
@given(texts=st.lists(LINES | st.none(), max_size=6), cut=st.integers(0, 6))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(OpenCoder(), texts, min(cut, len(texts)))
