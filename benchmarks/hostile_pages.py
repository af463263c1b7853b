"""Pages for `hostile.py`: the extractor, formulas among it, and decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from hostile_shapes import Job, numbered, repeated, then

EXTRACTORS: tuple[tuple[Literal["corpusmill", "resiliparse"], str], ...] = (
    ("corpusmill", "page"),
    ("resiliparse", "page by resiliparse"),
)
_PAGE = (
    "<!doctype html><html><head><title>t</title></head><body><main>"
    "<p>An ordinary paragraph stands here.</p>{}</main>"
)
_KATEX = (
    '<span class="katex"><math><semantics><mi>x</mi><annotation encoding="application/x-tex">x</annotation>'
    "</semantics></math></span>"
)
MARKUP: dict[str, Callable[[int], str]] = {
    "p b i": repeated("<p><b><i>"),
    "p b with text": repeated("<p>word <b>word <i>word "),
    "formatting of its own in each block": numbered("<p><b a=#>x"),
    "formatting of its own": numbered("<font a=#>x"),
    "formatting that ends inside blocks": repeated("<b><p>x</b>y"),
    "formatting over blocks": repeated("<div></b>", "<p>" + "<b>" * 100),
    "links": repeated("<a href=x>x"),
    "links in blocks": repeated("<p><a href=x>x"),
    "spans": repeated("<span>x"),
    "spans in blocks": repeated("<p><span>x"),
    "blocks": repeated("<p>x"),
    "empty blocks": repeated("<p>"),
    "closed blocks": repeated("<div>x</div>"),
    "nested blocks": lambda size: ("<div>" * 400 + "x" + "</div>" * 400) * (size // 4401 + 1),
    "deep": repeated("<div>"),
    "headings": repeated("<h1>x"),
    "list entries": repeated("<li>x", "<ul>"),
    "numbers of lists": repeated("<li value=7>x", "<ol start=3>"),
    "drawn line breaks": repeated("x<span class='a br'></span>"),
    "captions": repeated("<figure><figcaption><p>x</figcaption></figure>"),
    "lines that point elsewhere": repeated(f"<p>Related: <a href=x>y</a><p>{'word ' * 12}"),
    "one line that points elsewhere": repeated(
        "<b> </b>", f"<p>{'word ' * 60}<p><a href=x>", "Related: y</a>"
    ),
    "cells": repeated("<tr><td>x", "<table>"),
    "tables": repeated("<table>"),
    "text in a table": repeated("x<tr>", "<table>"),
    "formatting in a table": repeated("<b>x", "<table>"),
    "options": repeated("<option>x", "<select>"),
    "options outside": repeated("<option>x"),
    "option lists": lambda size: ("<select>" + "<option>x" * 400 + "</select>") * (size // 3600 + 1),
    "forms": repeated("<form><input>"),
    "buttons": repeated("<button>x"),
    "bodies": repeated("<body a=b>"),
    "comments": repeated("<!-- x -->"),
    "open comments": repeated("<!--"),
    "open tags": repeated("<"),
    "open attributes": repeated('<p a="'),
    "attributes": lambda size: ("<p " + " ".join(f"a{n}" for n in range(1500)) + ">x") * (size // 8400 + 1),
    "one tag of attributes": numbered(" a#=b", "<p", ">"),
    "one attribute": repeated("a ", '<p class="', '">x'),
    "class names": lambda size: ('<p class="' + "related " * 100 + '">x') * (size // 820 + 1),
    "identifiers": repeated('<p id="footer-cookie-related">x'),
    "references": repeated("&amp;"),
    "open references": repeated("&am"),
    "numeric references": repeated("&#120;"),
    "blanks": repeated(" "),
    "pre": repeated("\n ", "<pre>"),
    "pres": repeated("<pre>x</pre>"),
    "line breaks": repeated("<br>"),
    "scripts": repeated("<script>x</script>"),
    "open script": repeated("</scrip", "<script>"),
    "styles": repeated("<style>a{b:c}</style>"),
    "title": repeated("x ", "<title>"),
    "templates": repeated("<template>x</template>"),
    "svg": repeated("<g>x</g>", "<svg>", "</svg>"),
    "images": repeated("<img alt=x class=latex>"),
    "figures": repeated("<figure>x</figure>"),
    "rows of code": repeated("<div>x</div>", "<pre>"),
    "line numbers": repeated('<td class="gutter">1</td>', "<table>"),
    "inline code": lambda size: ("<code>" + "<i>" * 400 + "x<br>" * 400) * (size // 3206 + 1),
    "one class of many words": lambda size: '<p class="' + "post comment " * (size // 13) + '">x',
    "a passage in two elements in turn": repeated("<p>" + "x " * 21 + "</p><div>" + "x " * 21 + "</div>"),
    "passages that come again": lambda size: 2 * "".join(f"<p>x {n}<div>" for n in range(size // 30 + 1)),
    "rows in a list": repeated('<ol class="dp-c"><li>x'),
    "rows of viewers": repeated('<div class="fragment"><div class="line">x</div></div>'),
    "nested viewers": lambda size: ("<p class=fragment>" + "<i class=fragment>" * 200 + "x") * (size // 3620),
    "lists of rows": repeated('<ol><li><div class="de1">x</div></ol>'),
    "nested rows": lambda size: ('<ol><li><p class="de1">' * 99 + "x" + "</ol>" * 99) * (size // 2600),
    "numbered rows": numbered("<b>#</b> x\n", "<pre>", "</pre>"),
    "rows without line ends": repeated("<span class=line>x</span>", "<pre>", "</pre>"),
    "code alone": repeated("<p><code>x<br>x</code>"),
    "code beside code": repeated("<code>x<br>x</code>", "<p>"),
    "readings": repeated("<ruby>x<rt>x</ruby>"),
    "readings of one word": repeated("<rt>x", "<ruby>"),
    "shadow trees": repeated("<template shadowrootmode=open>"),
    "frames": repeated("<iframe srcdoc='<p>x'></iframe>"),
    "open frames": repeated("<iframe srcdoc='\""),
    "line ends between ideographs": repeated("\u5b57\n"),
    "line ends": repeated("\n", "<p>\u5b57", "x"),
    "addresses of formulas": repeated("%5E", "<img src='https://latex.codecogs.com/a?", "'>"),
    "NUL": repeated("\0"),
    "bad UTF-8": lambda size: "é" * (size // 2),
    "formulas": repeated("<math><mi>x</mi></math>"),
    "formulas in blocks": repeated('<p><math alttext="x_1"><mi>x</mi></math>'),
    "scripted formulas": repeated('<script type="math/tex">x</script>'),
    "alternative text": repeated("a", '<math alttext="', '"><mi>x</mi></math>'),
    "blanks in TeX": repeated(" ", '<script type="math/tex">', "x</script>"),
    "per cent signs in TeX": repeated("%", '<script type="math/tex">', "</script>"),
    "braces in TeX": repeated("{", '<script type="math/tex">', "</script>"),
    "backslashes in TeX": repeated("\\", '<script type="math/tex">', "</script>"),
    "CDATA in TeX": repeated("%<![CDATA[ ", '<script type="math/tex">', "</script>"),
    "blanks beside tabs": repeated(" ", "<pre>", "\t\t<math><mi>x</mi></math></pre>"),
    "nested formulas": lambda size: ("<math>" + "<mrow>" * 200 + "<mi>x</mi></math>") * (size // 1223 + 1),
    "rows of a formula": repeated("<mi>x</mi>", "<math>", "</math>"),
    "scripts of a formula": repeated("<msub><mi>x</mi><mn>1</mn></msub>", "<math>", "</math>"),
    "table of a formula": repeated("<mtr><mtd><mi>x</mi></mtd></mtr>", "<math><mtable>", "</mtable></math>"),
    "fences of a formula": repeated("<mi>x</mi>", "<math><mfenced separators=',,'>", "</mfenced></math>"),
    "katex": repeated(_KATEX),
    "katex of nothing": repeated('<span class="katex"></span>'),
    "nested katex": lambda size: ('<span class="katex">' * 200 + "x" + "</span>" * 200) * (size // 5401 + 1),
    "the words of formulas": numbered("texformula#n ", "<math><mi>x</mi></math>"),
}  # fmt: skip


def pages() -> Iterator[Job]:
    from corpusmill.pipelines.extraction.faults import PageFault
    from corpusmill.pipelines.extraction.options import Extraction
    from corpusmill.pipelines.sources.extract import Extract

    stage = Extract(max_html_bytes=2**23)

    def extract(how: Extraction, raw: bytes) -> object:
        try:
            return stage._page(raw, "text/html", how)
        except PageFault:
            return None

    kinds = [(Extraction(extractor), name) for extractor, name in EXTRACTORS]
    kinds.append((Extraction(format="markdown", links=True, alt_texts=True), "markdown"))
    for how, name in kinds:
        for shape, make in MARKUP.items():
            markup = then(make, lambda text: _PAGE.replace("{}", text).encode())
            yield Job(f"{name}: {shape}", markup, partial(extract, how))


def page_parts() -> Iterator[Job]:
    from corpusmill.pipelines.extraction.decode import decode
    from corpusmill.pipelines.extraction.faults import PageFault

    def decoded(raw: bytes) -> object:
        try:
            return decode(raw, None, 0.05)
        except PageFault:
            return None

    for shape, unit in {
        "UTF-8": "中".encode(),
        "bytes that are no text": b"\xff\xfe\xfd",
        "half of a character": b"\xe4",
        "latin-1": b"gr\xfc\xdfe ",
        "GB 18030": "机器学习".encode("gb18030"),
        "Shift JIS": "日本語".encode("cp932"),
        "UTF-16": b"\xd8\x00",
        "HZ": b"~{0!~}",
        "open HZ": b"~{0!",
        "UTF-7": b"+AOQ-",
        "plus signs": b"+",
        "UTF-8 twice": "é".encode().decode("cp1252").encode(),
    }.items():
        before = b"\xff\xfe" if shape == "UTF-16" else b""
        yield Job(
            f"decode: {shape}",
            partial(lambda unit, before, size: before + unit * (size // len(unit)), unit, before),
            decoded,
        )
    for shape, head in {
        "meta": "<meta",
        "blanks": "<meta charset=" + " " * 4000,
        "charset": "<meta " + "charset " * 500,
    }.items():
        pages = partial(
            lambda head, size: [(head * (4096 // len(head))).encode() + b"\xe9"] * (size // 4096 + 1), head
        )
        yield Job(f"decode: heads of {shape}", pages, lambda heads: [decoded(one) for one in heads])
