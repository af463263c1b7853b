# ruff: noqa: E501 - pages
"""Code as highlighters, viewers and editors lay it out: rows and indentation stay, numbers and copies go."""

from __future__ import annotations

import html
from functools import partial
from typing import Literal

import pytest

from corpusmill.pipelines.extraction.bounded_parse import bounded_parse
from corpusmill.pipelines.extraction.main_text import SIGNS, extract_page
from corpusmill.pipelines.extraction.options import Extraction

ROWS = ["def total(items):", "    for item in items:", "        n += 1 < 2", "", "    return n"]
CODE = "\n".join(ROWS)
MARKED = [html.escape(row) for row in ROWS]
parse = partial(bounded_parse, max_depth=512, max_attributes=2048)


def text_of(page: str, form: Literal["text", "markdown"] = "text") -> str:
    tree, seen = parse(page, page.encode(), SIGNS)
    return extract_page(page, tree, Extraction(format=form, main_content=False), seen, parse).text


def each(pattern: str, between: str = "", empty: str = "") -> str:
    """`pattern` for each row: `N` its number, `ROW` its markup, `HARD` with no-break spaces."""
    return between.join(
        pattern.replace("N", str(number))
        .replace("ROW", row or empty)
        .replace("HARD", row.replace(" ", "&nbsp;"))
        for number, row in enumerate(MARKED, 1)
    )


LAYOUTS = {
    "Prism": "<pre class='line-numbers'><code>" + "\n".join(MARKED)
    + "<span class='line-numbers-rows'><span></span></span></code></pre>",
    "highlight.js": "<pre><code><table class='hljs-ln'>"
    + each("<tr><td class='hljs-ln-numbers'><div data-line-number=N></div></td>"
           "<td class='hljs-ln-code'>ROW</td></tr>") + "</table></code></pre>",
    "CSDN": "<pre><code><ol class='hljs-ln'>"
    + each("<li><div class='hljs-ln-numbers'>N</div><div class='hljs-ln-code'><div>ROW</div></div></li>")
    + "</ol></code></pre>",
    "Chroma": "<div class=highlight><pre><code>"
    + each("<span style='display:flex'><span style='user-select:none'>N</span><span>ROW\n</span></span>")
    + "</code></pre></div>",
    "SyntaxHighlighter 1": "<div class='dp-highlighter'><ol class='dp-py'>"
    + each("<li><span>HARD&nbsp;</span></li>")
    + "</ol></div>",
    "GitHub": "<textarea id='read-only-cursor-text-area' readonly>" + "\n".join(MARKED)
    + "</textarea><div class='react-code-lines'>"
    + each("<div><div class='react-line-number'>N</div><div class='react-file-line'>ROW</div></div>")
    + "</div>",
    "Doxygen": "<div class='fragment'>"
    + each("<div class='line'><a id=lN></a><span class='lineno'>    N</span>&#160;HARD</div>") + "</div>",
    "Monaco": "<div class='view-lines'>" + each("<div class='view-line'><span>HARD</span></div>") + "</div>",
    "Enlighter": "<div class='enlighter-default'><div class='enlighter'>"
    + each("<div><div><span>ROW</span></div></div>") + "</div><pre class='enlighter-raw'>" + "\n".join(MARKED)
    + "</pre></div><pre class='EnlighterJSRAW' style='display: none'>" + "\n".join(MARKED) + "</pre>",
    "Crayon": "<div class='crayon-syntax'><div class='crayon-plain-wrap'><textarea readonly>" + "\n".join(MARKED)
    + "</textarea></div><table><tr><td class='crayon-nums'>" + each("<div class='crayon-num'>N</div>")
    + "</td><td><div class='crayon-pre'>" + each("<div class='crayon-line'>HARD</div>", empty="&nbsp;")
    + "</div></td></tr></table></div>",
    "GeSHi": "<ol><li>Save:<div class='geshi'><ol>" + each('<li class="li1"><div class="de1">HARD</div></li>')
    + "</ol></div></li></ol>",
    "google-code-prettify": "<pre class='prettyprint linenums'><ol class='linenums'>"
    + each("<li class='LN'><span>ROW</span></li>") + "</ol></pre>",
    "Gitiles": "<table class='FileContents'>"
    + each("<tr><td data-line-number=N></td><td class='FileContents-lineContents'>ROW</td></tr>") + "</table>",
    "CodeMirror": "<div class='CodeMirror-code'>"
    + each("<div><div class='CodeMirror-linenumber'>N</div><pre class='CodeMirror-line'><span>ROW</span></pre></div>",
           empty="\u200b") + "</div>",
    "Shiki": "<pre class='shiki'><code style='display:grid'>" + each("<span class='line'><i>ROW</i></span>")
    + "</code></pre>",
    "rustdoc": "<pre><code>" + each("<a href='#N' data-nosnippet>N</a>ROW", "\n") + "</code></pre>",
    "numbers with a space behind them": "<pre>" + each("<span> N</span> ROW", "\n") + "</pre>",
    "br in code": "<p>So:</p><p><code>" + each("HARD", "<br>\n") + "</code></p>",
    "white space by style": "<code style='white-space: pre'>" + "\n".join(MARKED) + "</code>",
    "xmp": "<xmp>" + CODE + "</xmp>",
    "listing": "<listing>" + "\n".join(MARKED) + "</listing>",
    "plaintext": "<p>So:</p><plaintext>" + CODE,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_code_keeps_its_rows(layout: str) -> None:
    text = text_of(LAYOUTS[layout])
    assert CODE in text
    assert text.count("return n") == 1
    steps = text.replace(CODE, "").removeprefix("1. ")  # the list around the code of GeSHi
    assert not any(character.isdigit() for character in steps)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_a_block_of_code_in_markdown(layout: str) -> None:
    text = text_of(LAYOUTS[layout], "markdown")
    indent = "   " if layout == "GeSHi" else ""
    assert "\n".join((indent + row).rstrip() for row in ("```", *ROWS, "```")) in text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<pre>1 apple\n2 pears\n3 plums</pre>", "1 apple\n2 pears\n3 plums"),
        ("<pre><b>1</b> a\n<b>3</b> b\n<b>4</b> c</pre>", "1 a\n3 b\n4 c"),
        ("<pre><b>1</b> a\n<b>2</b> b\nc\n<b>3</b></pre>", "1 a\n2 b\nc\n3"),
        ("<pre><i>1</i>\n<i>2</i></pre>", "1\n2"),
        ("<pre><!--1-->1<b></b>\n2</pre>", "1\n2"),
        ("<pre><span class=line>a</span> <span class=word>b</span></pre>", "a b"),
        ("<pre><code>\n<ol>\n<li>a\n<li>  b</ol></code></pre>", "a\n  b"),
        ("<pre>x<ol><li>a</ol></pre>", "x\na"),
        ("<p>Use <code>a<br>b</code> here</p>", "Use a\nb here"),
        ("<p>Use <code style='white-space:nowrap'>a\nb</code></p>", "Use a b"),
        ("<div class=fragment><p>A slide</p></div><div class=line>x</div>", "A slide\n\nx"),
        ("<ol><li>a<ol><li>b</ol></ol><div class=\"de1\">c</div>", "1. a\n\n1. b\n\nc"),
        ("<code>a<br>b<code>c<br>d</code></code>", "a\nbc\nd"),
        ("<pre><pre>1</pre>2</pre>", "1\n2"),
    ],
)  # fmt: skip
def test_what_is_no_such_layout_stays(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(("outer", "inner"), list(zip(LAYOUTS, [*list(LAYOUTS)[1:], "Prism"], strict=True)))
def test_no_element_is_read_after_it_was_replaced(outer: str, inner: str) -> None:
    page = LAYOUTS[outer].replace("def total", LAYOUTS[inner] + "def total", 1)
    assert "return n" in text_of(page * 3)
