"""`4M`, `4GB` and their like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.recipe.quantities import PATTERN, parse_quantity

REFUSED = ["", "M", "4 M", "4m", "-4M", "4MM", "1.0001K", "0.5", "four", "4gb", "1e6", "4BB", "4Bi", "0x4"]
REFUSED += ["\uff14M", "4M\n"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("12", 12), ("1_000", 1000), ("4M", 4_000_000), ("64K", 64_000), ("64k", 64_000),
        ("1.5B", 1_500_000_000), ("2T", 2 * 10**12), ("3G", 3 * 10**9), ("4GB", 4 * 10**9),
        ("100KB", 100_000),
        ("100kB", 100_000), ("512MiB", 512 * 2**20), ("64Ki", 65_536), ("1.5GiB", 3 * 2**29), ("0.1K", 100),
        ("1TB", 10**12), ("1TiB", 2**40),
    ],
)  # fmt: skip
def test_suffixes(text: str, value: int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_quantity(text)


@given(
    st.integers(0, 10**15),
    st.sampled_from([("", 1), ("K", 10**3), ("MB", 10**6), ("GiB", 2**30), ("B", 10**9)]),
)
def test_exact_for_any_size(number: int, suffix: tuple[str, int]) -> None:
    text = f"{number}{suffix[0]}"
    assert parse_quantity(text) == number * suffix[1]
    assert re.match(PATTERN, text)
