"""The mathematics score: oracle, examples, laws, and how well it separates real texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.math_score import MathScore
from corpusmill.filters.rules.math_vocabulary import COMMANDS, ENVIRONMENTS
from tests.oracles import filters_code_math as oracle
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

Rows = Callable[[str, int], list[dict[str, Any]]]

SIGNS = st.lists(
    st.sampled_from(
        ["\\", "\\frac", "\\section", "\\alpha x", "\\begin{", "\\begin", "{align", "align*}",
         "\\[", "\\(", "∑", 
         "≤", "α", "αβ", "ab", "1", "23", "=", "+", "*", "×", "÷", " ", "-", ")", "%", "中", "𝔸", "→", "\n"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given((TEXTS | SIGNS).map(lambda text: text.replace("$", "")))
def test_oracle(text: str) -> None:
    scores = MathScore().score(documents([text]))
    expected = oracle.math_counts(text, COMMANDS, ENVIRONMENTS)
    assert {name: int(scores[name][0]) for name in expected} == expected
    assert 0.0 <= scores["score"][0] <= 1.0


@settings(max_examples=40)
@given(texts=st.lists(TEXTS | st.none(), max_size=8), cut=st.integers(0, 8))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(MathScore(), texts, min(cut, len(texts)))


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("let $x$ be $y^2$", {"spans": 2}),
        ("so $$\\frac{1}{2} = x$$ holds", {"spans": 1, "commands": 1}),
        ("from $5 to $10, or $20", {"spans": 0}),
        ("echo $HOME $PATH and $x", {"spans": 0}),
        ("cost $5 and $ 7 = $8", {"spans": 0}),
        ("$a = b\n\nc$", {"spans": 0}),
        ("$a \\$ = b$", {"spans": 1}),
        ("$" * 1000, {"spans": 0}),
        ("$x" + " + y" * 500 + "$", {"spans": 0}),
        ("\\begin{align*} a \\end{align*} \\begin{itemize}", {"displays": 1}),
        ("48/2=24, 3 × -4 = 12 and x = 3, a=b", {"equations": 3}),
        ("Theorem. Every finite group; 定理：设有向量与矩阵。", {"terms": 6}),
        ("Theoremata finites 向前 量度", {"terms": 0}),
        ("∀ε>0 ∃δ: α → β", {"signs": 7}),
        ("μαθηματική ανάλυση", {"signs": 0}),
        ("", {"tokens": 0}),
    ],
)
def test_evidence(text: str, counts: dict[str, int]) -> None:
    scores = MathScore().score(documents([text]))
    assert {name: int(scores[name][0]) for name in counts} == counts


def test_the_score_is_its_formula_and_the_threshold_is_strict() -> None:
    text = "We have $x^2$ and \\alpha, so \\[ y \\] holds. " + "word " * 86
    scores = MathScore().score(documents([text, "", "plain " * 20]))
    evidence = 2 * 1 + 1 + 3 * 1
    expected = 1 - np.exp(-evidence / scores["tokens"][0] / 0.05)
    assert scores["score"].tolist() == [pytest.approx(expected), 0.0, 0.0]
    assert reasons(MathScore(at_least=None), [text, ""]) == [None, None]
    assert reasons(MathScore(at_least=0.0), [text, ""]) == [None, None]
    assert reasons(MathScore(at_least=float(scores["score"][0])), [text, ""]) == [None, "not_mathematical"]


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    from scipy.stats import rankdata  # seconds, of which every process of the suite would have its own

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / len(positive) / len(negative))


def test_separates_real_mathematics_from_prose_and_code(rows: Rows) -> None:
    def score(*names: str) -> np.ndarray:
        texts = [row["text"] for name in names for row in rows(name, 600)]
        return np.asarray(MathScore().score(documents(texts))["score"])

    planetmath = [row["meta"].get("latex_source") for row in rows("web/planetmath11_math_pages.index", 300)]
    positive = np.concatenate(
        [score("math/gsm8k_train", "math/latex_books"), MathScore().score(documents(planetmath))["score"]]
    )
    prose = score("text/wikitext2_valid_test", "text/ruanyf_weekly_zh", "text/tldr_pages_multilang")
    assert area_under_curve(positive, prose) > 0.97
    assert area_under_curve(positive, score("code/code_packages")) > 0.96
