"""Exponents and indices become TeX once; ordinals, notes and trade marks stay as they are."""

from __future__ import annotations

import pytest
from resiliparse.parse.html import HTMLTree

from corpusmill.pipelines.extraction.main_text import extract_page
from corpusmill.pipelines.extraction.options import Extraction, Extractor


@pytest.mark.parametrize("extractor", ["corpusmill", "resiliparse"])
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("10<sup>6</sup>", "$10^{6}$"),
        ("1.5x10<SUP>−19</SUP>", "1.5x10$^{-19}$"),
        ("2<sup>n</sup> or 2<sup>n-1</sup>", "$2^{n}$ or $2^{n-1}$"),
        ("<i>x</i><sub><i>i</i></sub><sup>2</sup>", "$x_{i}^{2}$"),
        ("x<sup>2</sup>y<sup>3</sup>", "$x^{2}$ $y^{3}$"),
        ("E = mc<sup>2</sup>", "E = mc$^{2}$"),
        ("H<sub>2</sub>O and CO<sub>2</sub>", "$H_{2}$O and CO$_{2}$"),
        ("SO<sub>4</sub><sup>2−</sup>", "SO$_{4}^{2-}$"),
        ("5 km<sup>2</sup>, 3 m s<sup>-1</sup>", "5 km$^{2}$, 3 m $s^{-1}$"),
        ("(1 + x)<sup>3</sup>", "(1 + x)$^{3}$"),
        ("log<sub>2</sub> n, V<sub>max</sub>, a<sub>i,j</sub>", "log$_{2}$ n, $V_{max}$, $a_{i,j}$"),
        ("the 1<sup>st</sup>, 2<sup>e</sup>, N<sup>o</sup>", "the 1st, 2e, No"),
        ("as said.<sup>3</sup> Smith<sup>4</sup> in 1998<sup>2</sup>", "as said.3 Smith4 in 19982"),
        ("word<sup><a href='#n1'>1</a></sup> Lamp<sup>TM</sup>", "word1 LampTM"),
        ("<sup>2</sup> alone, far <sub>2</sub>", "2 alone, far 2"),
        ("x<sup></sup>y<sub><b></b></sub>z<sup>a<br>b</sup>", "xyza\nb"),
    ],
)
def test_raised_and_lowered(markup: str, text: str, extractor: Extractor) -> None:
    page = f"<p>{markup}</p>"
    how = Extraction(extractor, main_content=False)
    assert extract_page(page, HTMLTree.parse(page), how).text == text


def test_formulas_may_be_left_as_they_are() -> None:
    page = "<p>10<sup>6</sup></p>"
    how = Extraction(main_content=False, formulas=False)
    assert extract_page(page, HTMLTree.parse(page), how).text == "106"
