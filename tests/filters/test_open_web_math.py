"""`open_web_math`: the prefilter against its plain form, the rules of the inspection, laws."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.open_web_math import OpenWebMath
from corpusmill.filters.rules.web_math_rules import COMMANDS, MARKS
from corpusmill.pipelines.contract.documents import Documents
from tests.oracles.filters_documents import TEXTS, check_split_law, documents

WORDS = st.sampled_from(
    ["\\frac", "\\in", "\\int", "\\x", "\\", "frac", "MathJax", "mathjax", "latexXphp", "tex.cgi", "<math",
     'class="tex"', "$", "$$", "$x$", "é", "a", "newcommand", "\n", " ", "\\PageIndex{2}", "$\\PageIndex{1}$"]
)  # fmt: skip
PIECES = st.lists(WORDS, max_size=25).map("".join) | TEXTS
LONG = " the proof of it is easy, and left to whoever reads on to the end of the page; it has two parts."


def at(texts: list[str | None], urls: list[str | None] | None = None) -> Documents:
    table = documents(texts).table
    if urls is None:
        return Documents(table)
    return Documents(
        table.set_column(table.schema.get_field_index("url"), "url", pa.array(urls, pa.string()))
    )


def told(
    stage: OpenWebMath, texts: list[str | None], urls: list[str | None] | None = None
) -> list[str | None]:
    found: list[str | None] = stage.apply(at(texts, urls)).reasons.to_pylist()
    return found


def holds_mathematics(text: str) -> bool:
    """Plainly: marks as a regular expression, or a backslash with two letters and one of the commands."""
    if re.search(MARKS, text):
        return True
    return bool(re.search(r"\\[a-z]{2,}", text)) and any("\\" + command in text for command in COMMANDS)


def cleaned(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if line.count("newcommand") <= 1)


def formulas(text: str) -> int:
    text = re.sub(r"\$\$\\PageIndex\{[^\}]*\}\$\$", "", text)
    text = re.sub(r"\$\\PageIndex\{[^\}]*\}\$", "", text)
    return len(re.findall(r"\$\$[^\$]*\$\$|\$[^\$]*\$", text))


@given(PIECES)
def test_scores_are_those_of_plain_python(text: str) -> None:
    scores: dict[str, Any] = dict(OpenWebMath().score(at([text])))
    left = cleaned(text)
    assert scores["mathematics"].to_pylist() == [holds_mathematics(text)]
    assert scores["characters"].to_pylist() == [len(left)]
    assert scores["formulas"].to_pylist() == [formulas(left)]
    accents = sum(c in "üïöêäâîûôèéà" for c in left.lower())
    expected = pytest.approx(accents / len(left)) if left else None
    assert scores["accented"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "url", "reason"),
    [
        ("Let \\alpha be given." + LONG, None, None),
        ("Let $x$ be given." + LONG, None, "no_mathematics"),
        ("see latex.php" + LONG, None, None),
        ("\\alpha " + LONG[:80], None, "short"),
        ("\\alpha \\newcommand \\newcommand" + LONG, None, "short"),
        ("\\alpha" + LONG, "https://chem.libretexts.org/a", "no_formulas"),
        ("\\alpha $x$" + LONG, "https://chem.libretexts.org/a", None),
        ("\\alpha $\\PageIndex{1}$" + LONG, "https://chem.libretexts.org/a", "no_formulas"),
        ("\\alpha" + LONG, "https://math.libretexts.org/a", None),
        ("\\alpha é à" + LONG, None, "accents"),
        ("\\alpha É" + LONG, None, None),
        (None, None, "no_mathematics"),
    ],
)
def test_rules_in_their_order(text: str | None, url: str | None, reason: str | None) -> None:
    assert told(OpenWebMath(), [text], [url]) == [reason]


def test_rules_may_be_off() -> None:
    off = OpenWebMath(needs_mathematics=False, min_characters=None, needs_formulas=False, max_accented=None)
    assert told(off, ["", "é", None], ["x.libretexts.org"] * 3) == [None] * 3


@settings(max_examples=20)
@given(texts=st.lists(PIECES | st.none(), max_size=6), cut=st.integers(0, 6))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(OpenWebMath(), texts, min(cut, len(texts)))
