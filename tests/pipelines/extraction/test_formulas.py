# ruff: noqa: E501 - pages
"""Formulas of every kind a page may hold come out as TeX, once, where they stood."""

from __future__ import annotations

import pytest
from resiliparse.parse.html import HTMLTree

from corpusmill.pipelines.extraction.formulas import clean_tex
from corpusmill.pipelines.extraction.main_text import extract_page
from corpusmill.pipelines.extraction.mathml import to_tex
from corpusmill.pipelines.extraction.options import Extraction, Extractor

OPENING = "These opening words are long enough for any extractor to believe that an article begins here."
CLOSING = "These closing words are long enough for any extractor to believe that it goes on until here."
PAGE = (
    "<html><head><title>T</title></head><body><article><h1>H</h1><p>{}</p>{}<p>{}</p></article></body></html>"
)

KATEX = (
    '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>E</mi><mo>=</mo><mi>m</mi></mrow>'
    '<annotation encoding="application/x-tex">E=mc^2</annotation></semantics></math></span>'
    '<span class="katex-html" aria-hidden="true">E=mc2</span></span>'
)
CASES = {
    "katex": (f"<p>so {KATEX} holds</p>", "so $E=mc^2$ holds"),
    "katex display": (f'<p><span class="katex-display">{KATEX}</span></p>', "$$E=mc^2$$"),
    "mathjax 2": (
        '<p>so <span class="MathJax_Preview">x</span><span class="MathJax"><nobr>x2</nobr></span>'
        '<script type="math/tex">x^2 < y</script> and <script type="math/tex; mode=display">\\int f</script></p>',
        "so $x^2 < y$ and $$\\int f$$",
    ),
    "mathjax 3": (
        '<p>so <mjx-container class="MathJax" display="true"><mjx-math>q</mjx-math><mjx-assistive-mml><math '
        'display="block"><msup><mi>x</mi><mn>2</mn></msup><mo>≤</mo><mi>α</mi><mi>y</mi></math></mjx-assistive-mml>'
        "</mjx-container> holds</p>",
        "so $$x^{2}\\leq\\alpha y$$ holds",
    ),
    "wikipedia": (
        '<p>so <span class="mwe-math-element"><span style="display: none;"><math alttext="{\\displaystyle a_{1}}">'
        '<semantics><mi>a</mi><annotation encoding="application/x-tex">{\\displaystyle a_{1}}</annotation></semantics>'
        '</math></span><img class="mwe-math-fallback-image-inline" alt="{\\displaystyle a_{1}}"></span> holds</p>',
        "so $a_{1}$ holds",
    ),
    "alttext": ('<p>so <math alttext="\\chi(n)"><mi>χ</mi></math> holds</p>', "so $\\chi(n)$ holds"),
    "spoken alttext": (
        '<p>so <math alttext="x squared"><msup><mi>x</mi><mn>2</mn></msup></math> holds</p>',
        "so $x^{2}$ holds",
    ),
    "image": ('<p>so <img class="latex" alt="x^2+1" src="i.png"> holds</p>', "so $x^2+1$ holds"),
    "image of Sphinx": ('<p>so <img class="math" alt="x^2+1" src="i.png"> holds</p>', "so $x^2+1$ holds"),
    "address": (
        '<p>so <img src="https://latex.codecogs.com/svg.latex?\\inline&space;x%5E2"> holds</p>',
        "so $x^2$ holds",
    ),
    "address with a name": (
        '<p>so <img src="https://render.example/render/math?math=a%2Bb&mode=inline"> holds</p>',
        "so $a+b$ holds",
    ),
    "display within words": (
        '<p>so<script type="math/tex; mode=display">a</script>holds</p>',
        "so $$a$$ holds",
    ),
    "zhihu": ('<p>so <span class="ztext-math" data-tex="a+b">a+b</span> holds</p>', "so $a+b$ holds"),
    "neighbours": (
        '<p>so <math alttext="a"><mi>a</mi></math><math alttext="b"><mi>b</mi></math> holds</p>',
        "so $a$ $b$ holds",
    ),
    "prefixed": (
        "<p>so <mml:math><mml:mfrac><mml:mn>1</mml:mn><mml:mi>n</mml:mi></mml:mfrac></mml:math> holds</p>",
        "so $\\frac{1}{n}$ holds",
    ),
    "text already": ("<p>so \\(x\\) costs $5 and $y$ holds</p>", "so \\(x\\) costs $5 and $y$ holds"),
}


def extracted(middle: str, extractor: Extractor) -> str:
    html = PAGE.format(OPENING, middle, CLOSING)
    how = Extraction(extractor)
    text = extract_page(html, HTMLTree.parse(html), how).text
    assert OPENING in text
    return text[text.index(OPENING) + len(OPENING) : text.index(CLOSING)].strip()


@pytest.mark.parametrize("extractor", ["corpusmill", "resiliparse", "trafilatura"])
@pytest.mark.parametrize("kind", CASES)
def test_formula_is_kept(kind: str, extractor: Extractor) -> None:
    html, expected = CASES[kind]
    assert extracted(html, extractor) == expected


@pytest.mark.parametrize("extractor", ["corpusmill", "resiliparse", "trafilatura"])
def test_code_keeps_its_lines(extractor: Extractor) -> None:
    code = "def f(x):\n    if x:\n\n        return  1\n\treturn 2"
    assert extracted(f"<pre><code>{code}</code></pre>", extractor) == code


def test_a_page_that_writes_our_words_is_not_confused() -> None:
    middle = '<p>texformula0nf0z and <math alttext="x"><mi>x</mi></math> texformula1nf7z</p>'
    assert extracted(middle, "resiliparse") == "texformula0nf0z and $x$ texformula1nf7z"


@pytest.mark.parametrize(
    ("mathml", "tex"),
    [
        ("<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>", r"\frac{a}{b+1}"),
        ("<msqrt><mi>x</mi></msqrt><mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt{x}\sqrt[3]{x}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", r"x_{i}^{2}"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
            r"\sum_{i=1}^{n}i",
        ),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\overline{x}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>θ</mi>", r"\sin\theta"),
        ("<mi>α</mi><mi>x</mi>", r"\alpha x"),
        ("<mi>ℝ</mi><mi mathvariant='bold'>v</mi><mi>𝔤</mi>", r"\mathbb{R}\mathbf{v}\mathfrak{g}"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mi>a</mi></mtd></mtr></mtable>",
         r"\begin{matrix}1 & 0 \\ a\end{matrix}"),
        ("<mfenced open='[' separators=';'><mi>a</mi><mi>b</mi></mfenced>", r"[a;b)"),
        ("<mtext>if 50% of</mtext>", r"\text{if 50\% of}"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<mo>{</mo><mi>x</mi><mo>}</mo>", r"\{x\}"),
        ("<mmultiscripts><mi>C</mi><mn>6</mn><none/><mprescripts/><none/><mn>14</mn></mmultiscripts>", "{}^{14}C_{6}"),
    ],
)  # fmt: skip
def test_presentation_mathml_becomes_tex(mathml: str, tex: str) -> None:
    document = HTMLTree.parse(f"<body><math>{mathml}</math></body>").document
    assert document is not None
    assert to_tex(document.query_selector("math")) == tex


def test_endless_nesting_does_not_recurse() -> None:
    document = HTMLTree.parse("<body><math>" + "<mrow>" * 5000 + "<mi>x</mi></math></body>").document
    assert document is not None
    assert to_tex(document.query_selector("math")) == "x"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("{\\displaystyle x^{2}}", ("x^{2}", False)),
        ("{\\displaystyle x}+{y}", ("{\\displaystyle x}+{y}", False)),
        ("$$ a\n b $$", ("a b", True)),
        ("\\(a\\)", ("a", False)),
        ("a+%\nb 5\\% c", ("a+b 5\\% c", False)),
        ("$", ("$", False)),
    ],
)
def test_clean_tex(raw: str, clean: tuple[str, bool]) -> None:
    assert clean_tex(raw) == clean
