"""What the bytes of a page hold, as kernels tell it in one pass, against searches by Python."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.extraction.kernels.page_bytes import inner_pages, latin_letters
from corpusmill.pipelines.extraction.seven_bit import of_seven_bits

MARKS = (
    "shadowroot",
    "srcdoc",
    "<iframe",
    "</iframe",
    "<IFRAME",
    "<iFrame",
    "<",
    "wro",
    "rcd",
    *("x" * 120, "é\xa0"),
)
LETTERS = ("a", "é", "\xa0", "Ã©", "â€™", "Â", "\x80", "漢", "д", "b" * 100)


def data_of(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(text.encode(), np.uint8)


@given(st.lists(st.sampled_from(MARKS), max_size=20).map("".join))
def test_pages_within_a_page(markup: str) -> None:
    held = inner_pages(data_of(markup + " " * 8))
    assert held.opened == markup.count("<iframe")
    assert held.closed == markup.count("</iframe") or not held.opened
    assert held.capital == ("<IFRAME" in markup)
    assert held.shadow or "shadowroot" not in markup
    assert held.source or "srcdoc" not in markup


@pytest.mark.parametrize("before", [0, 1, 100, 127, 128, 129, 255, 300])
def test_marks_at_any_place(before: int) -> None:
    for mark, name in (("shadowroot", "shadow"), ("srcdoc", "source"), ("<IFRAME>", "capital")):
        for behind in (0, 1, 200):
            assert getattr(inner_pages(data_of("." * before + mark + "." * behind)), name)
    long = inner_pages(data_of("." * (before + 200)))
    assert (long.shadow, long.source, long.opened, long.closed, long.capital) == (False, False, 0, 0, False)


@given(st.lists(st.sampled_from(LETTERS), max_size=60).map("".join))
def test_latin_letters_and_what_may_be_encoded_twice(text: str) -> None:
    letters, doubles = latin_letters(data_of(text))
    assert letters == sum("\x80" <= c <= "\xff" and c != "\xa0" for c in text)
    signs = re.findall(b"\xc3[\x82-\xb4][\xc2\xc5\xc6\xcb\xe2]", text.encode())
    assert doubles == len(signs)


@given(st.lists(st.sampled_from(("+", "-", "+AOk-", "ab", "/", " ", "+-", "+AO", "x+AOk-")), max_size=40))
def test_shifts_of_utf_7_are_told_from_other_plus_signs(parts: list[str]) -> None:
    raw = "".join(parts).encode()
    runs = re.findall(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4,}+-", raw)
    shifts = [run[run.index(b"+") :] for run in runs if b"+" in run]
    held = of_seven_bits(raw)
    assert (held is not None) == (len(shifts) >= 5 and all(map(is_not_ascii, shifts)))
    assert held is None or held[1] == "utf_7"


def is_not_ascii(shift: bytes) -> bool:
    try:
        return not any(c.isascii() for c in shift.decode("utf_7"))
    except UnicodeDecodeError:
        return False
