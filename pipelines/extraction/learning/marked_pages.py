"""Pages whose main text people marked: read, cut into blocks, and each block compared with that text.

A set of pages is a WARC file of responses and an index beside it: JSON lines (zstd) with `id`
(WARC-Record-ID), `text` (the main text) and `meta` (`url`, `page_type`).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from corpusmill.pipelines.extraction.code_layouts import EVERYTHING, take_code_layouts
from corpusmill.pipelines.extraction.content_model import ContentModel, Look
from corpusmill.pipelines.extraction.decode import decode
from corpusmill.pipelines.extraction.formulas import Formulas
from corpusmill.pipelines.extraction.inner_pages import with_inner_pages
from corpusmill.pipelines.extraction.ruby import take_readings

if TYPE_CHECKING:
    import numpy.typing as npt

_WORD = re.compile(r"\w+")


@dataclass
class MarkedPage:
    """One page; `markup` is written out by the parser, `gold` the main text that people marked."""

    site: str
    kind: str
    markup: bytes
    gold: str


def marked_pages(warc: Path, index: Path) -> Iterator[MarkedPage]:
    """The pages of a set that have a main text. Pages of one site share `site`."""
    import pyarrow as pa
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with pa.CompressedInputStream(pa.OSFile(str(index)), "zstd") as stream:
        lines = stream.read().decode().split("\n")
    rows = {row["id"]: row for row in (json.loads(line) for line in lines if line)}
    with warc.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            row = rows.get(str(record.record_id))
            if row is None or not row["text"].strip():
                continue
            kind = record.http_headers.get("Content-Type") if record.http_headers else None
            text, _ = decode(record.reader.read(), kind, 1.0)
            url = row["meta"].get("url") or ""
            host = urlsplit(url).netloc
            site = url if host in ("", "unknown.invalid") else ".".join(host.split(".")[-2:])
            yield MarkedPage(site, row["meta"].get("page_type", ""), written_out(text), row["text"])


def written_out(text: str) -> bytes:
    """The page as the parser writes it out, formulas being words, as extraction reads it."""
    from resiliparse.parse.html import HTMLTree

    text = with_inner_pages(text, text.encode())
    tree: Any = HTMLTree.parse(text)
    take_code_layouts(tree, EVERYTHING)
    take_readings(tree)
    Formulas(text).take(tree.document)
    return str(tree.document.html).encode("utf-8", "replace")


def words_of(text: str) -> list[str]:
    """Words in lower case, as the F1 of words compares them."""
    return _WORD.findall(text.lower())


def block_texts(look: Look) -> list[str]:
    """The text of each block on one line."""
    markup, page, blocks = look.markup.tobytes(), look.page, look.blocks
    found = []
    for first, end in zip(blocks.first_text, blocks.end_text, strict=True):
        parts = [markup[page.begin[t] : page.end[t]] for t in range(first, end) if page.shown[t]]
        found.append(" ".join(html.unescape(b"".join(parts).decode("utf-8", "replace")).split()))
    return found


def shares_in(texts: list[str], gold: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(share, words) of each text: the share of its words that stand in `gold` in the same order.

    By a longest common subsequence of the words of all texts and of `gold`; time grows with the product of
    their lengths.
    """
    from rapidfuzz.distance import LCSseq

    numbers: dict[str, int] = {}
    page: list[int] = []
    owner: list[int] = []
    for block, text in enumerate(texts):
        for word in words_of(text):
            page.append(numbers.setdefault(word, len(numbers)))
            owner.append(block)
    marked = [numbers.setdefault(word, len(numbers)) for word in words_of(gold)]
    there = np.ones(len(page), np.bool_)
    for edit in LCSseq.editops(page, marked):
        if edit.tag == "delete":
            there[edit.src_pos] = False
    lengths = np.bincount(owner, minlength=len(texts)).astype(np.float64)
    found = np.bincount(owner, weights=there, minlength=len(texts))
    return found / np.maximum(lengths, 1), lengths


@dataclass(eq=False)
class Marked:
    """A page's blocks with the share of each that is main text, for learning."""

    page: MarkedPage
    look: Look
    texts: list[str]
    share: npt.NDArray[np.float64]
    words: npt.NDArray[np.float64]


def mark(page: MarkedPage, model: ContentModel) -> Marked:
    """Compare the blocks of a page with its main text; features of words come from `model`."""
    look = model.look(page.markup)
    texts = block_texts(look)
    return Marked(page, look, texts, *shares_in(texts, page.gold))


def word_f1(texts: list[str], gold: str) -> float:
    """F1 of the words of `texts` against those of `gold`, each as often as it stands there."""
    from collections import Counter

    found, wanted = Counter(words_of("\n".join(texts))), Counter(words_of(gold))
    shared = sum((found & wanted).values())
    return 2 * shared / max(1, sum(found.values()) + sum(wanted.values()))
