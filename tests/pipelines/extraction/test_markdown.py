"""Pages as Markdown: a parser of Markdown reads the page's structure and every character again."""

from __future__ import annotations

import html as entities
import random
import re
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from corpusmill.pipelines.extraction.bounded_parse import bounded_parse
from corpusmill.pipelines.extraction.main_text import SIGNS, extract_page
from corpusmill.pipelines.extraction.options import Extraction

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
parse = partial(bounded_parse, max_depth=512, max_attributes=2048)
Inline = list[tuple[str, str]]
"""(marks, text) each."""
Block = tuple[Any, ...]
"""("p", inline), ("h2", inline), ("ul", [item, ...]), ("ol", start, [item, ...]), ("quote", [block, ...]),
("code", language, text), ("table", [[cell, ...], ...]) or ("rule",)."""
WORDS = (
    *("lamp", "snake_case", "__init__", "*", "**", "*star*", "1.", "2)", "-", "+", "#", "##", ">", "a>b"),
    *("<b>", "<!--", "</p>", "&amp;", "&lt", "[x]", "[x](y)", "[a]:", "![i](j)", "`tick`", "``", "\\", "\\*"),
    *("~~", "|", "~~~", "a|b", "---", "===", "***", "```", "http://a.example/_x_", "§", "日本", "f(x)", ":"),
    *("!", "$5", "50%", ":-:", "|-|"),
)
MARKED = ("lamp", "a_b", "oil lamp")
# Behind the text of a link, and in the place of an image.
TO, IMAGE = "\ue000{}\ue001", "\ue002{}\ue003{}\ue004"
TARGETS = (
    "/a",
    "b.html?x=1&amp=2",
    "/f(x)",
    "/(",
    "/a<b>",
    "/a\\b",
    "https://a.example/_x_*y*#z",
    "/日本",
    "/[x]",
)


def markdown(page: str, *, links: bool = False, alt_texts: bool = False) -> str:
    how = Extraction(format="markdown", main_content=False, links=links, alt_texts=alt_texts)
    tree, seen = parse(page, page.encode(), SIGNS)
    return extract_page(page, tree, how, seen, parse).text


def read(text: str) -> list[Block]:
    """The structure of Markdown, as the parser reads it."""
    return [block(node) for node in SyntaxTreeNode(PARSER.parse(text)).children]


def block(node: SyntaxTreeNode) -> Block:
    kind = node.type
    if kind in ("paragraph", "heading"):
        return ("p" if kind == "paragraph" else node.tag, inline(node.children[0]))
    if kind in ("bullet_list", "ordered_list"):
        items = [[block(child) for child in item.children] for item in node.children]
        return ("ul", items) if kind == "bullet_list" else ("ol", int(node.attrGet("start") or 1), items)
    if kind == "blockquote":
        return ("quote", [block(child) for child in node.children])
    if kind == "fence":
        return ("code", node.info, node.content.removesuffix("\n"))
    if kind == "table":
        rows = [row for part in node.children for row in part.children]
        return ("table", [[inline(cell.children[0]) for cell in row.children] for row in rows])
    return ("rule",) if kind == "hr" else (kind,)


def inline(node: SyntaxTreeNode) -> Inline:
    found: Inline = []

    def walk(inner: SyntaxTreeNode, marks: str) -> None:
        mark = {"strong": "b", "em": "i", "s": "s", "link": "a"}.get(inner.type)
        if mark is not None:
            for child in inner.children:
                walk(child, "".join(sorted(marks + mark)))
            if mark == "a":
                found.append(("", TO.format(unquote(str(inner.attrGet("href"))))))
        elif inner.type == "image":
            found.append(
                (
                    marks,
                    IMAGE.format(
                        "".join(c.content for c in inner.children), unquote(str(inner.attrGet("src")))
                    ),
                )
            )
        elif inner.type in ("softbreak", "hardbreak"):
            found.append((marks, {"softbreak": "<soft>", "hardbreak": "\n"}[inner.type]))
        elif inner.type in ("text", "code_inline"):
            found.append((marks + "c" * (inner.type == "code_inline"), inner.content))
        else:
            found.append((marks, f"<{inner.type}>"))

    for child in node.children:
        walk(child, "")
    return joined(found)


def joined(pieces: Inline) -> Inline:
    """Pieces of equal marks as one, without empty ones."""
    made: Inline = []
    for marks, text in pieces:
        if made and made[-1][0] == marks:
            made[-1] = (marks, made[-1][1] + text)
        elif text:
            made.append((marks, text))
    return made


class Drawn:
    """A random structure. Marks cover whole words with spaces around, so that Markdown can say them."""

    def __init__(self, seed: int, rich: bool = False) -> None:
        """`rich`: also links, images, line breaks, and items that begin with any block."""
        self.draw = random.Random(seed)
        self.rich = rich
        self.blocks = self.some(3, 6)

    def some(self, depth: int, most: int) -> list[Block]:
        blocks: list[Block] = []
        while len(blocks) < self.draw.randint(1, most):
            blocks.append(self.one(depth))
        return blocks

    def one(self, depth: int) -> Block:
        kinds = ["p", "p", "h", "code", "table"] + ["ul", "ol", "quote"] * (depth > 0) * 2
        kind = self.draw.choice(kinds)
        if kind == "p":
            lines = [self.line(4) for _ in range(self.draw.choice((1, 1, 2, 3)) if self.rich else 1)]
            return ("p", joined([piece for line in lines for piece in (("", "\n"), *line)][1:]))
        if kind == "h":
            return (f"h{self.draw.randint(1, 6)}", self.line())
        if kind == "code":
            rows = ["".join(self.draw.choices("ab `~*\t|<&#", k=self.draw.randint(0, 9))) for _ in range(4)]
            code = "x" + "\n".join(row.rstrip() for row in rows) + "\n  y"
            return ("code", self.draw.choice(["", "python", "c++"]), code)
        if kind == "table":
            width = self.draw.randint(2, 4)
            return ("table", [[self.line(3) for _ in range(width)] for _ in range(self.draw.randint(2, 4))])
        if kind == "quote":
            return ("quote", self.some(depth - 1, 3))
        items = [[*self.first(depth), *self.nested(depth)] for _ in range(self.draw.randint(1, 3))]
        return ("ul", items) if kind == "ul" else ("ol", self.draw.randint(1, 99), items)

    def first(self, depth: int) -> list[Block]:
        other = self.rich and self.draw.random() < 0.3
        return [self.one(depth - 1)] if other else [("p", self.line())]

    def nested(self, depth: int) -> list[Block]:
        return self.some(depth - 1, 2) if depth > 1 and self.draw.random() < 0.4 else []

    def line(self, most: int = 8) -> Inline:
        pieces: Inline = [("", self.draw.choice(WORDS))]
        for _ in range(self.draw.randint(0, most)):
            marks = self.draw.choice(["", "", "", "b", "i", "s", "c", "bi"])
            word = self.draw.choice(WORDS if marks in ("", "c") else MARKED)
            pieces += [("", " "), (marks, word)]
            if self.rich and self.draw.random() < 0.2:
                pieces += [("", " "), *self.link_or_image()]
        return joined(pieces)

    def link_or_image(self) -> Inline:
        target = self.draw.choice(TARGETS)
        if self.draw.random() < 0.3:
            return [("", IMAGE.format(self.draw.choice(WORDS), target))]
        marks = self.draw.choice(["a", "a", "ab", "ac", "ai"])
        text = self.draw.choice(WORDS if marks in ("a", "ac") else MARKED)
        return [(marks, text), ("", TO.format(target))]


def page_of(blocks: list[Block]) -> str:
    return "".join(map(markup, blocks))


def markup(one: Block) -> str:
    kind = one[0]
    if kind == "ul":
        return f"<ul>{''.join(f'<li>{page_of(item)}</li>' for item in one[1])}</ul>"
    if kind == "ol":
        return f"<ol start={one[1]}>{''.join(f'<li>{page_of(item)}</li>' for item in one[2])}</ol>"
    if kind == "quote":
        return f"<blockquote>{page_of(one[1])}</blockquote>"
    if kind == "code":
        named = f' class="language-{one[1]}"' if one[1] else ""
        return f"<pre><code{named}>{entities.escape(one[2])}</code></pre>"
    if kind == "table":
        head, *rows = one[1]
        lines = ["".join(f"<th>{inner(cell)}</th>" for cell in head)]
        lines += ["".join(f"<td>{inner(cell)}</td>" for cell in row) for row in rows]
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
    return f"<{kind}>{inner(one[1])}</{kind}>"


def inner(pieces: Inline) -> str:
    made = ""
    for number, (marks, text) in enumerate(pieces):
        said = "<br>".join(map(entities.escape, text.split("\n")))
        said = re.sub(
            "\ue002(.*?)\ue003(.*?)\ue004", r'<img alt="\1" src="\2">', re.sub("\ue000.*?\ue001", "", said)
        )
        for mark in marks:
            tag = {"b": "strong", "i": "em", "s": "del", "c": "code", "a": "a"}[mark]
            target = ""
            if mark == "a":
                target = pieces[number + 1][1].partition("\ue001")[0].removeprefix("\ue000")
            said = (
                f"<{tag} href='{entities.escape(target)}'>{said}</{tag}>"
                if target
                else f"<{tag}>{said}</{tag}>"
            )
        made += said
    return made


@pytest.mark.parametrize("seed", range(60))
def test_a_parser_reads_the_structure_again(seed: int) -> None:
    blocks = Drawn(seed).blocks
    text = markdown(page_of(blocks))
    assert read(text) == blocks, text


@pytest.mark.parametrize("seed", range(60))
def test_links_images_and_line_breaks_too(seed: int) -> None:
    blocks = Drawn(seed, rich=True).blocks
    text = markdown(page_of(blocks), links=True, alt_texts=True)
    assert read(text) == blocks, text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>one<br>two<br><br>three</p>", "one  \ntwo\n\nthree"),
        ("<div>one</div><div>two</div>", "one\n\ntwo"),
        ("<p><a href=x>one</a><a href=y>two</a> <a href=y>3</a>.</p>", "one two 3."),
        ("<p>日本\n 語、<b>\n字</b>\n<i>x</i> 字</p>", "日本語、**字** *x* 字"),
        ("<p>so<b>me</b> of<b> it </b>and <b>.x</b>y</p>", "so**me** of **it** and **.x**y"),
        ("<p><i>a <b>b</b></i></p>", "*a* ***b***"),
        ("<p><b>a</b><i>b</i></p>", "a*b*"),
        ("<p>x <code> a  b </code> <code>``</code></p>", "x `a b` ``` `` ```"),
        ("<h2>C#</h2><h3>a #</h3>", "## C#\n\n### a \\#"),
        ("<h2><div>one</div><div>two</div></h2>", "## one two"),
        ("<ul><li>a</li></ul><ul><li>b</li></ul>", "- a\n\n* b"),
        ("<ol reversed start=x><li>a<li>b</ol>", "2. a\n1. b"),
        ("<ol><li value=5>a<li>b<li value=x>c</ol>", "5. a\n6. b\n7. c"),
        ("<ol start=7><li>a<li value=123456789>b<li value=٣>c</ol>", "7. a\n8. b\n9. c"),
        ("<p>a</p><hr><p>b</p>", "a\n\n---\n\nb"),
        ("<hr><p>b</p><hr>", "b"),
        ("<pre>a\n```\n</pre>", "````\na\n```\n````"),
        ("<div class='highlight-source-rust'><pre>fn</pre></div>", "```rust\nfn\n```"),
        ("<pre class='brush: js; x'>fn</pre>", "```js\nfn\n```"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "|  |  |\n| --- | --- |\n| a | b |\n| c |"),
        ("<table><tr><td>a<tr><td>b</table>", "a\n\nb"),
        ("<table><tr><td><ul><li>a</ul><td>b<tr><td>c<td>d</table>", "- a\n\nb\n\nc\n\nd"),
        (
            "<table><caption>k</caption><tr><th>a<th colspan=2>b<tr><td rowspan=2>c<td>d<td>e<tr><td>f<td>g"
            "</table>",
            "k\n\n| a | b |  |\n| --- | --- | --- |\n| c | d | e |\n|  | f | g |",
        ),
        ("<p>\\(a_1*b*c\\) and $x^{*}_1$ cost $5*2$</p>", "\\(a_1*b*c\\) and $x^{*}_1$ cost $5\\*2$"),
        (
            "<table><tr><th>a<th>b<tr><td><math><mi>x</mi><mo>|</mo></math><td>1</table>",
            "| a | b |\n| --- | --- |\n| $x\\|$ | 1 |",
        ),
    ],
)  # fmt: skip
def test_what_becomes_of_each_kind(page: str, text: str) -> None:
    assert markdown(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>to <a href='/a b'>the [one]</a>.</p>", "to [the \\[one\\]](/a%20b)."),
        ("<p><a href=x>one</a><a href=y>two</a></p>", "[one](x) [two](y)"),
        ("<p><a href=x>o</a><a href=x>n<b>e</b></a> <a href=x>two</a></p>", "[on**e**](x) [two](x)"),
        ("<p>to! <a href='/x(y'><b>it</b></a></p>", "to! [**it**](</x(y>)"),
        ("<p>so!<a href=x>it</a> <a href='#a'>up</a> <a href='javascript:x'>ok</a>", "so\\![it](x) up ok"),
        ("<p>a <img src=i.png alt='an [image]'> b</p>", "a ![an \\[image\\]](i.png) b"),
        ("<p>a</p><img alt=between src=i.png><p>b</p>", "a\n\n![between](i.png)\n\nb"),
        ("<p>a <a href=x><img alt=in src=i.png></a> b</p>", "a [![in](i.png)](x) b"),
        ("<p><a href=x><code>a[0]</code> ![b] <img alt=c src=i.png></a>", "[`a[0]` !\\[b\\] ![c](i.png)](x)"),
        ("<p>a <img alt=b src=i><br>c<br><img alt=d src=i> e</p>", "a ![b](i)  \nc  \n![d](i) e"),
        ("<p>a</p><p><img alt=first src='data:x'> b</p>", "a\n\nfirst b"),
    ],
)  # fmt: skip
def test_links_and_images_by_option(page: str, text: str) -> None:
    assert markdown(page, links=True, alt_texts=True) == text


def test_deep_nesting_is_bounded() -> None:
    page = "<ul><li>x" * 100 + "</ul>" * 100
    lines = markdown(page).split("\n")
    assert [line.strip(" -") for line in lines if line.strip()] == ["x"] * 100
    assert max(map(len, lines)) == 2 * 12 + 1


def test_numbers_of_items_are_those_of_the_page() -> None:
    page = "<ol start=9>" + "".join(f"<li><p>i{n}</p><p>more</p></li>" for n in range(3)) + "</ol>"
    assert read(markdown(page)) == [
        ("ol", 9, [[("p", [("", f"i{n}")]), ("p", [("", "more")])] for n in range(3)])
    ]
