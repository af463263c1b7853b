"""The flat outline of a page against its tree, and its plain text against a walk through the tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpusmill.pipelines.extraction.kernels.blocks import blocks_of, equal_keys
from corpusmill.pipelines.extraction.kernels.outline import Outline, outline
from corpusmill.pipelines.extraction.kernels.plain_text import NO_INSERTS, plain_text
from corpusmill.pipelines.extraction.kernels.word_weights import weigh_names, word_weights
from corpusmill.pipelines.extraction.tags import NAMES
from tests.oracles import extraction_trees as oracle

NAMES_USED = [
    "p", "div", "span", "a", "b", "ul", "li", "table", "tr", "td", "h1", "section", "br", "img", "hr",
    "x-card", "code", "blockquote", "select", "option", "script", "style", "textarea", "form", "noscript",
    "iframe", "title", "figure",
]  # fmt: skip
TEXTS = [
    "word",
    " ",
    "\n",
    "中\n",
    "two words",
    "&amp;",
    "<",
    "a&lt;b",
    "&nbsp;",
    "é中",
    "x > y",
    '"',
    "\u3000",
    "\x85",
    ".",
]
VALUES = ["", "a", "Post body", 'q"uote', "a>b", "a<b", "&", "line-number", "x=y"]


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Markup that is often odd: tags that do not match, attributes without quotes, comments."""
    parts: list[str] = []
    for _ in range(draw(st.integers(0, 30))):
        kind = draw(st.integers(0, 5))
        name = draw(st.sampled_from(NAMES_USED))
        if kind <= 1:
            parts.append(draw(st.sampled_from(TEXTS)))
        elif kind <= 3:
            value = draw(st.sampled_from(VALUES)).replace("'", "")
            attribute = draw(st.sampled_from(["class", "id", "data-x", "=", 'a"b', "style"]))
            parts.append(draw(st.sampled_from([f"<{name}>", f"<{name} {attribute}='{value}'>"])))
        elif kind == 4:
            parts.append(f"</{name}>")
        else:
            parts.append(draw(st.sampled_from(["<!-- c -->", "<!-->", "<!x>", "<?php ?>", "<!-- <p> -->"])))
    return "".join(parts)


def seen(html: str) -> tuple[Any, Any, Outline]:
    """(the tree, its markup written out, the outline)."""
    document: Any = HTMLTree.parse(html).document
    written = np.frombuffer(str(document.html).encode(), np.uint8)
    return document, written, outline(written)


@given(pages())
def test_elements_and_texts_are_those_of_the_tree(html: str) -> None:
    document, data, page = seen(html)
    elements, texts = oracle.walked(document)
    raw = data.tobytes()
    assert len(elements) + 1 == len(page.tag)
    for e, (name, parent, classes, identity) in enumerate(elements, 1):
        assert NAMES[page.tag[e]] == (name if name in NAMES else "")
        assert page.parent[e] == parent
        values = [raw[page.names[e, k] : page.names[e, k + 1]].decode() for k in (0, 2)]
        assert [oracle.without_entities(value) for value in values] == [classes, identity]
    found = [
        (int(page.element[t]), raw[page.begin[t] : page.end[t]].decode()) for t in range(len(page.begin))
    ]
    raw_text = ("script", "style", "iframe")
    plain = [
        (e, text if NAMES[page.tag[e]] in raw_text else oracle.without_entities(text)) for e, text in found
    ]
    assert plain == texts


@given(pages())
def test_the_text_of_all_blocks_is_the_text_of_the_page(html: str) -> None:
    document, data, page = seen(html.replace("pre", "p").replace("line-number", "x"))
    blocks = blocks_of(data, page)
    text, _ = plain_text(data, page, blocks, np.ones(len(blocks.element), np.bool_), NO_INSERTS)
    text = text.tobytes().decode()
    lines = [" ".join(line.removeprefix("- ").split()) for line in text.replace("\t", "\n").split("\n")]
    wanted = [line.removeprefix("- ") for line in oracle.lines_of(document)]
    assert " ".join(" ".join(lines).split()) == " ".join(wanted)


def text_of(html: str) -> str:
    _, data, page = seen(html)
    blocks = blocks_of(data, page)
    text, _ = plain_text(data, page, blocks, np.ones(len(blocks.element), np.bool_), NO_INSERTS)
    return text.tobytes().decode()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one  two\nthree<p>four", "one two three\n\nfour"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<br>b<br><br>c", "a\nb\nc"),
        ("a<span class='id br'></span>b<b class=br>c</b>d<span class=brand></span>e", "a\nbcde"),
        ("<ul><li>a<li>b <b>c</b></ul>d", "- a\n- b c\n\nd"),
        ("<ul><li><p>a<p>b</ul>", "- a\n\nb"),
        ("<ol><li>a<li>b<ul><li>c</ul><li>d</ol>", "1. a\n2. b\n\n- c\n\n3. d"),
        ("<ol class='>' start=9><li>a<li>b<li value=20>c<li>d</ol>", "9. a\n10. b\n20. c\n21. d"),
        ("<ol restart='5' start=0><li value=x>a<li value=123456789>b</ol>", "0. a\n1. b"),
        ("<ol start=-4><li>a<li><li>c</ol><li>d", "1. a\n3. c\n\n- d"),
        ("<ol reversed><li>a<li>b<ul><li>x</ul><li>c</ol>", "3. a\n2. b\n\n- x\n\n1. c"),
        ("<ol start=1 REVERSED><li>a<li>b<li>c<li value=7>d<li>e</ol>", "1. a\n0. b\n- c\n7. d\n6. e"),
        ("<ol title='a reversed=' start=' +7px'><li>a<li value='4.'>b</ol>", "7. a\n4. b"),
        ("<menu><li>a<ol><li></li></ol>b</menu>", "- a\n\nb"),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a\tb\nc\td"),
        ("<p>a&amp;b &lt;c&gt; &amp;lt;", "a&b <c> &lt;"),
        ("<p>a&nbsp;&nbsp;b\u3000c\u2003", "a b c"),
        ("<p>wo<b>rd</b>s", "words"),
        ("<a>one</a><a id=b>two</a><a>.</a> <a>x</a>y<a><b>z</b></a><a>日</a>", "one two. xyz日"),
        ("<p><a href='a>b'>o</a><a href='a>b'>ne</a><a href='a>c'>x</a>", "one x"),
        ("<code>\n&nbsp; a<br>\n&nbsp;b</code>", "  a\n b"),
        ("<p>日本\n 語、<b>\n字</b>\r\n<i>x</i>\n字 字</p>", "日本語、字 x 字 字"),
        ("<p>한국어는\n띄어쓰기 ㄱ\nㄴ", "한국어는 띄어쓰기 ㄱ ㄴ"),
        ("<pre>\n\n  a\n\n    b  \n</pre>c", "  a\n\n    b\n\nc"),
        ("<pre>a<br>b<br><br>c</pre>", "a\nb\n\nc"),
        ("<pre><div>a</div><div></div><div>  b</div></pre>", "a\n\n  b"),
        ("<pre><span>a\n</span><span>b\n</span></pre>", "a\nb"),
        ("<code>a<br>&nbsp; b<br><br>c</code>", "a\n  b\n\nc"),
        ("<select><option>a</select><script>b</script>c", "c"),
        ("<textarea>typed</textarea><textarea readonly>a\n  b</textarea>", "a\n  b"),
        ('<td class="gutter">1</td>', "1"),  # no table, so it is a text
        ('<pre><span class="lineno">1 </span>a\n<span class="lineno">2 </span>b</pre>', "a\nb"),
        ('<pre><span class="lineno">one </span>a</pre>', "one a"),
        ('<h2>A<a class="headerlink" href="#a">¶</a></h2>', "A"),
    ],
)
def test_plain_text(html: str, text: str) -> None:
    assert text_of(html) == text


def test_names_weigh_by_whole_words() -> None:
    weights = word_weights({"related": -2.0, "post": 1.0, "body": 0.5, "xml": 4.0})
    for name, wanted in {
        "related": -2.0, "unrelated": 0.0, "related-posts": -2.0, "Related_post": -1.0, "postBody": 1.5,
        "post post2": 2.0, "XML": 4.0, "postings": 0.0, "": 0.0,
    }.items():  # fmt: skip
        _, data, page = seen(f"<p class='{name}'>x")
        assert weigh_names(data, page.names, weights)[0].sum() == wanted
    _, data, page = seen("<i class='item-12 a'></i><i class='item-7 a'></i><i class='item b'></i>")
    looks = weigh_names(data, page.names, weights)[1][-3:]
    assert looks[0] == looks[1] != looks[2]


@given(st.lists(st.integers(-3, 3)))
def test_equal_keys(keys: list[int]) -> None:
    count, position, first = equal_keys(np.array(keys, np.int64))
    assert count.tolist() == [keys.count(key) for key in keys]
    assert position.tolist() == [keys[:i].count(key) for i, key in enumerate(keys)]
    assert first.tolist() == [keys.index(key) for key in keys]
