"""Texts for `hostile.py`: filters, deduplication and pre-tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
from hostile_shapes import Job, numbered, repeated, then

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, buffers

TEXTS: dict[str, Callable[[int], str]] = {
    "blanks": repeated(" "),
    "tabs": repeated("\t"),
    "line breaks": repeated("\n"),
    "carriage returns": repeated("\r\n"),
    "one letter": repeated("a"),
    "capitals": repeated("Aa"),
    "digits": repeated("1"),
    "groups of digits": repeated("4444 "),
    "addresses of mail": repeated("a@"),
    "beginnings of private keys": repeated("-----BEGIN PRIVATE KEY-----\n"),
    "dots": repeated("."),
    "signs": repeated("#%&*"),
    "per cent signs": repeated("%"),
    "backslashes": repeated("\\"),
    "brackets": repeated("{[("),
    "tags": repeated("<p>"),
    "ampersands": repeated("&"),
    "quotes": repeated('"'),
    "apostrophes": repeated("'"),
    "backticks": repeated("`"),
    "dollars": repeated("$x$ "),
    "combining marks": repeated("\u0301", "e"),
    "joiners": repeated("\u200d", "x"),
    "no-break spaces": repeated("\u00a0"),
    "ideographs": repeated("中"),
    "Thai": repeated("ก"),
    "Hangul": repeated("\u1100\u1161"),
    "emoji": repeated("🙂"),
    "control characters": repeated("\x01"),
    "one word": repeated("word "),
    "words": numbered("w# "),
    "lines": numbered("line # of it\n"),
    "equal lines": repeated("the same line\n"),
    "paragraphs": numbered("para # of it\n\n"),
    "bullets": repeated("- x\n"),
    "sentences": repeated("Aa bb cc. "),
    "blanks before a letter": repeated(" ", "", "a"),
    "letters and blanks": repeated("a "),
    "braces of code": repeated("{}\n"),
    "comments": repeated("/* "),
}  # fmt: skip


def _documents(text: str) -> Documents:
    columns: dict[str, list[Any]] = {
        "id": ["0" * 32],
        "text": [text],
        "source": ["s"],
        "domain": ["web"],
        "path": ["a.py"],
        "meta": ["{}"],
    }
    return Documents(pa.table([pa.array(columns.get(f.name, [None]), f.type) for f in SCHEMA], schema=SCHEMA))


def texts() -> Iterator[Job]:
    import numpy as np

    from corpusmill.dedup.exact import Exact
    from corpusmill.dedup.matching.benchmark_parts import QUESTION, GramRules, part_of
    from corpusmill.dedup.minhash import Minhash
    from corpusmill.filters.c4 import C4
    from corpusmill.filters.code_origin import CodeOrigin
    from corpusmill.filters.code_quality import CodeQuality
    from corpusmill.filters.fineweb_quality import FinewebQuality
    from corpusmill.filters.gopher_quality import GopherQuality
    from corpusmill.filters.gopher_repetition import GopherRepetition
    from corpusmill.filters.language import Language
    from corpusmill.filters.math_score import MathScore
    from corpusmill.filters.personal_data import PersonalData
    from corpusmill.pipelines.contract.stage import Context

    context = Context(seed=1)
    exact = Exact().prepare(context)
    minhash = Minhash(preset="fineweb").prepare(context)
    rows = np.zeros(1, np.uint32)
    rules = GramRules(13, 5, 8, 1_000_000, ["question"], ["solution"], ["benchmark"], ["id"])
    parts: dict[str, Callable[[Documents], object]] = {
        **{
            f"filter {stage.name}": stage.apply
            for stage in (
                C4(),
                CodeOrigin(),
                CodeQuality(),
                FinewebQuality(),
                GopherQuality(),
                GopherRepetition(),
                Language(),
                MathScore(),
                PersonalData(),
            )
        },
        "exact": lambda docs: exact.emit(docs, 0, rows),
        "minhash": lambda docs: minhash.sketch(*buffers(docs.text)),
        "benchmark grams": lambda docs: part_of(docs.text[0].as_py(), rules, QUESTION),
    }
    for part, work in parts.items():
        for shape, make in TEXTS.items():
            yield Job(f"{part}: {shape}", then(make, _documents), work)


def pretokenizers() -> Iterator[Job]:
    from corpusmill.tokenizer.bpe.counts import count_texts
    from corpusmill.tokenizer.pieces.training import training_items
    from corpusmill.tokenizer.pretokenizer.patterns import NAMES
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    def large(text: str) -> pa.Array:
        return pa.array([text], pa.large_string())

    for name in NAMES:
        pre = PreTokenizer(pattern=name)
        for shape, make in TEXTS.items():
            yield Job(
                f"pre-tokenizer {name}: {shape}",
                then(make, large),
                partial(lambda pre, texts: count_texts(texts, pre), pre),
            )
    own = PreTokenizer(pattern=(r"\w+|\s+(?!\S)|\s+|[^\w\s]+",))
    for shape, make in TEXTS.items():
        yield Job(
            f"pre-tokenizer of one's own: {shape}",
            then(make, large),
            lambda texts: count_texts(texts, own),
        )
    for shape, unit in {
        "line breaks": "\n",
        "marks": "\0",
        "line breaks and NUL": "\n\n\n\0",
        "letters": "a",
    }.items():
        yield Job(
            f"SentencePiece items: {shape}",
            then(repeated(unit, after="\0"), large),
            lambda texts: list(training_items(texts, 1000)),
        )
