"""The main content of a page by our own model, resiliparse or trafilatura, as a pure function of the page.

All extractors run with formulas replaced by words (`Formulas`) and without any state kept between pages.
The libraries decide as they are, but that no element is left out for its name alone: where one keeps hardly
a word of a page that has a sidebar, or parts for browsers without scripts or frames, it is asked once more
with these as plain divisions, and its longer text counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from corpusmill.pipelines.extraction import code_layouts, ruby
from corpusmill.pipelines.extraction.formulas import Formulas
from corpusmill.pipelines.extraction.options import Extraction
from corpusmill.pipelines.extraction.own import Parse, own_extraction

# Never content, wherever they stand: line numbers beside code, permalink signs, wiki edit links.
_FURNITURE = [
    "linenos",
    "lineno",
    "linenodiv",
    "rouge-gutter",
    "line-numbers-rows",
    "hljs-ln-numbers",
    "headerlink",
    "anchorjs-link",
    "mw-editsection",
]
_CAPTIONS = ["caption", "credit", "teaser"]
# Strings of which one occurs in the tags of every page that `Formulas` would change.
_FORMULA_SIGNS = (
    *(
        "<math ",
        "<math>",
        "<mml:m",
        "<m:mat",
        "d-math",
        "math/t",
        "math/m",
        "we-mat",
        "xt-mat",
        "mathja",
        "mjxc-d",
    ),
    *(
        "jx-con",
        "jx-cht",
        'katex"',
        "katex'",
        "katex ",
        "katex>",
        "katex-",
        'latex"',
        "latex'",
        "latex ",
        "latex>",
    ),
    *('"math"', "'math'", "s=math", '"math ', "codeco", "athtex", "imetex", "r/math", "ht=tx&"),
    *("eeimg=", "eeimg ", "eeimg>", "ql-img", '="tex"', "='tex'", "s=tex ", "s=tex>"),
)
_WORDS = (*_FURNITURE, *_CAPTIONS)
# What `bounds.screen` looks for.
_RAISED_SIGNS = ("\0<sup>", "\0<sup ", "\0<sub>", "\0<sub ")
SIGNS = (
    *((word[-6:],) for word in _WORDS),
    *(_FORMULA_SIGNS, ruby.SIGNS, _RAISED_SIGNS),
    *code_layouts.SIGNS,
)
EVERYTHING_SEEN = (1 << len(SIGNS)) - 1
_FORMULAS_SEEN, _READINGS_SEEN, _RAISED_SEEN = (1 << len(_WORDS) + bit for bit in range(3))
_CODE_BIT = len(_WORDS) + 3
_SOFT_HYPHEN = "\xad"  # where a line may break; not shown elsewhere
_FEW = 10  # words; a library that keeps fewer is asked once more where `_PASSED_OVER` occurs
_PASSED_OVER = re.compile(r"<(/?)(?:aside|noscript|noframes|frameset)\b", re.IGNORECASE)
"""Tags of elements that the libraries leave out for their names."""


@lru_cache(maxsize=4096)
def _skip(seen: int, captions: bool) -> tuple[str, ...]:
    """Selectors of what to leave out, only those that can match: each costs a visit to every element."""
    bits = {word: seen >> index & 1 for index, word in enumerate(_WORDS)}
    selectors = [f".{word}" for word in _FURNITURE if bits[word]]
    if captions:
        selectors += ["figcaption", *(f'[class~="{word}" i]' for word in _CAPTIONS if bits[word])]
    return tuple(selectors)


@dataclass(frozen=True)
class Page:
    """What was extracted: the text, and the title and language the page states ("" where it does not).

    `kept` is the share of the words shown that the text holds; None where the extractor does not tell.
    `stated`: the text is what the page states for machines, as it shows hardly any.
    """

    text: str
    title: str
    lang: str
    kept: float | None = None
    stated: bool = False


def extract_page(
    html: str, tree: Any, how: Extraction, seen: int = EVERYTHING_SEEN, parse: Parse | None = None
) -> Page:
    """Text of one page. `tree` is `html` parsed by resiliparse; it is changed.

    `seen` is the mask of `SIGNS` that occur in the page's tags; it saves time and changes nothing. `parse`, a
    `bounded_parse` with its bounds, reads a page within the page (what is shown without frames); without it
    there is none. Raises PageFault where that is out of bounds.
    """
    document = tree.document
    code_layouts.take_code_layouts(tree, seen >> _CODE_BIT)
    if seen & _READINGS_SEEN:
        ruby.take_readings(tree)
    formulas = Formulas(html)
    if how.formulas and seen & _FORMULAS_SEEN:
        formulas.take(document)
    if how.formulas and seen & _RAISED_SEEN:
        formulas.take_raised(document)
    kept, stated = None, False
    if how.extractor == "corpusmill":
        text, kept, stated = own_extraction(document, formulas, how, parse)
    elif how.extractor == "resiliparse":
        text = _asked(lambda page: _resiliparse(page, how, seen), tree, how, parse)
    else:
        formulas.take_code(document)
        page = document.html if len(formulas) else html  # as it came wherever it is unchanged
        text = _asked(
            lambda it: _trafilatura(page if it is tree else it.document.html, how), tree, how, parse
        )
    root = document.document_element
    lang = (root.getattr("lang") or root.getattr("xml:lang") or "") if root is not None else ""
    text, title = (part.replace(_SOFT_HYPHEN, "") for part in (formulas.restore(text), tree.title or ""))
    return Page(text.strip(), " ".join(title.split()), lang.strip(), kept, stated)


def _asked(library: Callable[[Any], str], tree: Any, how: Extraction, parse: Parse | None) -> str:
    """What `library` makes of the page; asked twice where it keeps hardly a word."""
    text = library(tree)
    if not how.main_content or parse is None or len(text.split(None, _FEW)) > _FEW:
        return text
    markup = str(tree.document.html)
    opened = _PASSED_OVER.sub(r"<\1div", markup)
    if opened == markup:
        return text
    other = library(parse(opened, opened.encode("utf-8", "replace"), ())[0])
    return max(text, other, key=len)


def _resiliparse(tree: Any, how: Extraction, seen: int) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            tree,
            preserve_formatting=True,
            main_content=how.main_content,
            list_bullets=True,
            alt_texts=how.alt_texts,
            links=how.links,
            form_fields=False,
            noscript=False,
            comments=how.comments,
            post_meta=False,
            skip_elements=_skip(seen, how.main_content and how.precision) or None,
        )
    )


def _trafilatura(html: str, how: Extraction) -> str:
    import logging

    import lxml.etree
    import lxml.html
    import trafilatura

    # It warns of each page without main text, which has no text then, as the ledger tells; without a handler
    # that goes to standard error.
    logging.getLogger("trafilatura").setLevel(logging.ERROR)
    if not how.main_content:
        return str(trafilatura.html2txt(html))
    # Parsed here: trafilatura's own parser silently cuts trees deeper than libxml2's limit of 256.
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = lxml.html.document_fromstring(
            html.encode("utf-8", "replace"), parser=parser, ensure_head_body=True
        )
    except lxml.etree.ParserError:  # how lxml says that there is no element at all
        return ""
    text = trafilatura.extract(
        root,
        favor_precision=how.precision,
        include_comments=how.comments,
        include_links=how.links,
        include_images=False,
        include_tables=True,
        deduplicate=False,
        with_metadata=False,
        output_format="txt",
    )
    return text or ""
