"""The main content of a page by the content model: its blocks, those to keep, and their text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.content_model import Look, content_model
from corpusmill.pipelines.extraction.formulas import Formulas
from corpusmill.pipelines.extraction.inserts import inserts_of
from corpusmill.pipelines.extraction.kernels.blocks import WORDS
from corpusmill.pipelines.extraction.kernels.plain_text import NO_INSERTS, plain_text
from corpusmill.pipelines.extraction.kernels.readers_comments import in_comments
from corpusmill.pipelines.extraction.kernels.word_weights import weigh_names, word_weights
from corpusmill.pipelines.extraction.markdown import markdown
from corpusmill.pipelines.extraction.markdown_escapes import at_line_start, escaped
from corpusmill.pipelines.extraction.options import Extraction
from corpusmill.pipelines.extraction.stated_text import stated_description, stated_text
from corpusmill.pipelines.extraction.tags import NUMBERS

if TYPE_CHECKING:
    import numpy.typing as npt

PRECISE = 0.5
"""Beta of the expected F that is maximised where precision is preferred."""
_FEW = 50  # words; where a page shows fewer, the text that it states for machines counts
_COMMENTS = dict.fromkeys(
    ("comment", "comments", "commentlist", "disqus", "reply", "replies", "respond"), 1.0
)
_NOFRAMES = NUMBERS["noframes"]


class Extracted(NamedTuple):
    """What was extracted."""

    text: str
    kept: float
    """The share of the words shown that the text holds; 1 for a page without a word."""
    stated: bool = False
    """Whether the text is what the page states for machines, not what it shows."""


Parse = Callable[[str, bytes, tuple[tuple[str, ...], ...]], tuple[Any, int]]


def own_extraction(document: Any, formulas: Formulas, how: Extraction, parse: Parse | None) -> Extracted:
    """The text of a parsed page.

    `document` is resiliparse's, in which `formulas` stand as words. `parse` reads what a page of frames shows
    without them. Where fewer than `_FEW` words would be kept, the text that the page states for machines
    counts, if it is longer; its description where it shows no word at all, as where a script draws it.
    """
    markup = str(document.html).encode("utf-8", "replace")
    model = content_model()
    look = model.look(markup)
    if not len(look.counts) and parse is not None:
        inner = _without_frames(look)
        if inner:
            tree, _ = parse(inner.decode("utf-8", "replace"), inner, ())
            look = model.look(str(tree.document.html).encode("utf-8", "replace"))
    words = look.counts[:, WORDS]
    keep = np.ones(len(words), np.bool_)
    if how.main_content and len(words):
        keep = with_formulas(look, model.content(look, PRECISE if how.precision else 1.0), formulas)
        if how.comments:
            named, _ = weigh_names(look.markup, look.page.names, word_weights(_COMMENTS))
            keep |= in_comments(look.page, look.blocks, look.counts, named)
    text = _written(look, keep, formulas, how)
    shown, kept = float(words.sum()), float(words[keep].sum())
    if how.main_content and kept < _FEW:
        stated = stated_text(document) or ("" if shown else stated_description(document))
        if len(stated) > len(text):
            return Extracted(stated if how.format == "text" else _as_markdown(stated), 1.0, True)
    return Extracted(text, kept / shown if shown else 1.0)


def _written(look: Look, keep: npt.NDArray[np.bool_], formulas: Formulas, how: Extraction) -> str:
    """The kept blocks in the form asked for."""
    if how.format == "markdown":
        return markdown(look, keep, how.links, how.alt_texts, formulas.restore)
    beside = NO_INSERTS
    if how.links or how.alt_texts:
        beside = inserts_of(look, keep, how.links, how.alt_texts)
    text, _ = plain_text(look.markup, look.page, look.blocks, keep, beside)
    return text.tobytes().decode("utf-8", "replace")


def _as_markdown(text: str) -> str:
    """Plain paragraphs as Markdown."""
    return "\n".join(at_line_start(escaped(line)) for line in text.split("\n"))


def _without_frames(look: Look) -> bytes:
    """The markup that a page of frames shows where there are none."""
    page, markup = look.page, look.markup.tobytes()
    parts = [
        markup[page.begin[t] : page.end[t]]
        for e in np.nonzero(page.tag == _NOFRAMES)[0]
        for t in range(page.first_text[e], page.end_text[e])
    ]
    return b"".join(parts)


def with_formulas(look: Look, keep: npt.NDArray[np.bool_], formulas: Formulas) -> npt.NDArray[np.bool_]:
    """`keep`, and blocks that hold formulas where the block before or after them is kept.

    The model counts a formula as one word, and short lines among long ones are seldom content.
    """
    if not len(formulas):
        return keep
    markup, page, blocks = look.markup.tobytes(), look.page, look.blocks
    begins, ends = page.begin[blocks.first_text].tolist(), page.end[blocks.end_text - 1].tolist()
    holds = [markup.find(formulas.prefix, begin, end) >= 0 for begin, end in zip(begins, ends, strict=True)]
    made = keep.copy()
    for order in (range(1, len(keep)), range(len(keep) - 2, -1, -1)):
        for b in order:
            if holds[b] and made[b - order.step]:
                made[b] = True
    return made
