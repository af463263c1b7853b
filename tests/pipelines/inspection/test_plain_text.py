"""Text for a terminal is aligned and harmless."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.inspection import plain_text as text


@given(st.text(), st.integers(2, 300))
def test_foreign_text_never_holds_a_control_or_format_character(foreign: str, limit: int) -> None:
    shown = text.printable(foreign, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)


def test_escape_sequences_are_shown_as_codes() -> None:
    assert text.printable("a\x1b[31mb\u202ec") == "a\\u001b[31mb\\u202ec"


def test_columns_line_up_also_with_wide_characters() -> None:
    lines = text.table(("name", "n"), [("中文", 1), ("ab", 1234567)]).splitlines()
    assert lines[2] == "中文          1"
    assert lines[3] == "ab    1,234,567"
    assert {text.cells(line) for line in lines[1:]} == {15}


def test_numbers_sizes_and_times() -> None:
    assert text.count(1234567) == "1,234,567"
    assert text.count(None) == "-"
    assert text.size(999) == "999 B"
    assert text.size(12_345_678) == "12.3 MB"
    assert text.duration(59.94) == "59.9 s"
    assert text.duration(3725) == "1 h 02 min"
    assert text.percent(1, 0) == "-"
    assert text.percent(1, 8) == "12.5%"


def test_zero_is_a_value_and_none_is_left_out() -> None:
    assert text.facts([("a", 0), ("b", None), ("long", False)]) == "a     0\nlong  no"
