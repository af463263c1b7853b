"""The pre-tokenizing kernels against the regular expressions they stand for."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tokenizer.kernels import pretokenize
from corpusmill.tokenizer.pretokenizer.character_classes import class_table
from corpusmill.tokenizer.pretokenizer.ends import pretoken_ends
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.tokenizer_pretokens import ALPHABETS, NAMED, VARIANTS, expected_ends, joined

EXPECTED = {pre: expected_ends(pre) for pre in (*NAMED, *VARIANTS)}

# A few of every class, and what the expressions name.
PARTS = [
    *("a", "z", "A", "Z", "S", "s", "'", "'s", "'S", "'ſ", "'ll", "'Re", "'vE", "'t", "'x", "’s"),
    *(" ", "  ", " " * 9, "\n", "\r", "\r\n", "\t", "\v", "\x1c", "\x85", "\xa0", "\u1680", "\u2028"),
    *("\u3000", "1", "23", "9876", "٣", "Ⅷ", "½", "〇", "𝟘", ".", ",", "/", "//", "-", "$", "_", "`", "@"),
    *("[", "{", "\\", "é", "Ž", "ǅ", "ʰ", "ª", "ſ", "İ", "\u212a", "ß", "\u0301", "\u0903", "\u20dd"),
    *("한", "א", "ا", "ก", "中", "一", "龥", "龦", "㐀", "か", "ン", "ー", "・", "゛", "\u3099", "\u3040"),
    *("\u3097", "゠", "ｱ", "䷿", "。", "！", "€", "😀", "\u200d", "\u200b", "\ufeff", "\0", "\x7f", "\xad"),
    *("\ue000", "\u0378", "\U0010ffff", "word", "Words", "HTTPServer", "camelCase", "中A中a"),
    *("longerthaneightletters", "LONGERTHANEIGHTLETTERS"),
]
RUNS = [" ", "\n", " \n", "a", "A", "中", "中A", "1", ".", "'", "\0", "\u0301", "\u0301A", "・"]
texts = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)
few = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).flatmap(
    lambda parts: st.lists(st.sampled_from(parts), max_size=20).map("".join)
)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(texts | few | anything, min_size=1, max_size=20))
@settings(max_examples=40)
def test_kernels_cut_where_the_expressions_do(documents: list[str]) -> None:
    column = pa.array(documents, pa.large_string())
    for pre, expected in EXPECTED.items():
        starts, ends = pretoken_ends(pre, column)
        for number, text in enumerate(documents):
            found = ends[starts[number] : starts[number + 1]].tolist()
            assert found == expected(text), (pre, ascii(text))


@pytest.mark.parametrize("alphabet", [*ALPHABETS, "'rEvl ", "ン・゛中\u3040a ", "\u200b\0a.1 中"])
def test_short_texts_over_small_alphabets_are_cut_alike(alphabet: str) -> None:
    """Every text of up to four characters, which is as far as most of what the expressions say reaches."""
    documents = ["".join(t) for size in range(1, 5) for t in itertools.product(alphabet, repeat=size)]
    column = pa.array(documents)
    for pre, expected in EXPECTED.items():
        starts, ends = pretoken_ends(pre, column)
        for number, text in enumerate(documents):
            found = ends[starts[number] : starts[number + 1]].tolist()
            assert found == expected(text), (pre, ascii(text))


@given(st.lists(texts, min_size=1, max_size=6))
@settings(max_examples=50)
def test_a_document_is_cut_as_if_alone(documents: list[str]) -> None:
    """What stands before and behind a document in memory is nothing to it."""
    for pre in (*NAMED, *VARIANTS):
        _, together = pretoken_ends(pre, pa.array(documents))
        alone = [pretoken_ends(pre, pa.array([text]))[1] for text in documents]
        assert together.tolist() == np.concatenate(alone).tolist()


@given(st.binary(max_size=60), st.sampled_from([*NAMED, *VARIANTS]))
@settings(max_examples=100)
def test_bytes_that_are_no_utf8_are_cut_all_the_same(data: bytes, pre: PreTokenizer) -> None:
    """Ends rise and the last one is the document's; bytes behind the end are never part of it."""
    code = pre.code()
    assert code is not None
    classes = class_table()
    found = []
    for behind in (b"", b"abc\xe4\xb8\xad\n"):
        array = np.frombuffer(data + behind + b"\0", np.uint8)
        offsets = np.frombuffer(np.array([0, len(data)]).tobytes(), np.int64)  # read-only, as everywhere
        ends = np.zeros(pretokenize.count_pretokens(code, offsets, array, classes)[-1], np.int64)
        pretokenize.pretoken_ends(code, offsets, array, classes, ends)
        found.append(ends.tolist())
    assert found[0] == found[1]
    assert found[0] == sorted(set(found[0]))
    assert (found[0][-1] if data else 0) == len(data)


@pytest.mark.parametrize("pre", NAMED, ids=str)
@pytest.mark.parametrize(
    "unit", [" ", "\n", " \n", "a", "A", "中", "中A", "1", ".", "'", "\0", "\u0301", "́A", "・"]
)
def test_long_runs_are_cut_alike(pre: PreTokenizer, unit: str) -> None:
    for text in (unit * 3000, unit * 3000 + "x", "x" + unit * 3000 + " 1"):
        assert pretoken_ends(pre, pa.array([text]))[1].tolist() == EXPECTED[pre](text)


def test_time_is_linear_in_long_runs() -> None:
    """Sixteen megabytes of one kind; quadratic work would not end within the test's limit."""
    for pre in NAMED:
        for unit in (" ", "\n\t", "A", "中A", "'", "\0", "\u0301"):
            size = 2**21
            starts, ends = pretoken_ends(pre, pa.array([(unit * size)[:size]], pa.large_string()))
            assert starts[-1] == len(ends) > 0


def test_one_call_goes_on_where_the_last_ended() -> None:
    code = PreTokenizer().code()
    offsets, data = joined(["Hello, 12345 中文ー・\n\n x"])
    at, ends = 0, []
    while at < offsets[1]:
        at = int(pretokenize.next_end(code, data, at, int(offsets[1]), class_table()))
        ends.append(at)
    assert ends == EXPECTED[PreTokenizer()]("Hello, 12345 中文ー・\n\n x")


FILES = [
    "text/ruanyf_weekly_zh.jsonl.zst",
    "text/tldr_pages_multilang.jsonl.zst",
    "text/wikitext2_valid_test.jsonl.zst",
    "text/cc_c4_redpajama_samples.jsonl.zst",
    "math/latex_books.jsonl.zst",
    "code/code_packages.jsonl.zst",
]


def some(path: Path, budget: int) -> Iterator[str]:
    """Documents of a file, every third, until `budget` bytes."""
    with path.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), "utf-8")
        for number, line in enumerate(lines):
            if number % 3 == 0:
                text = json.loads(line)["text"]
                budget -= len(text.encode())
                yield text
                if budget < 0:
                    return


@pytest.mark.parametrize("file", FILES)
def test_real_documents_are_cut_alike(data_folder: Path, file: str) -> None:
    documents = list(some(data_folder / file, 80_000))
    column = pa.array(documents, pa.large_string())
    for pre in (*NAMED, VARIANTS[0]):
        starts, ends = pretoken_ends(pre, column)
        differing = [
            number
            for number, text in enumerate(documents)
            if ends[starts[number] : starts[number + 1]].tolist() != EXPECTED[pre](text)
        ]
        assert not differing
