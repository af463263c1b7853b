"""The patterns of OpenAI's tokenizers against tiktoken's own engine.

A tiktoken encoding whose vocabulary holds every short text over a small alphabet shows where it splits: a
piece of the vocabulary is one token.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import random
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.tokenizer.pretokenizer.ends import pretoken_ends
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.tokenizer_pretokens import ALPHABETS

tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")

# gpt2, cl100k_base and o200k_base of tiktoken 0.14.
_MARKED = [r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"]
_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
EXPRESSIONS: dict[Any, str] = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": "|".join(
        (
            rf"[^\r\n\p{{L}}\p{{N}}]?{_MARKED[0]}*{_MARKED[1]}+{_SUFFIX}",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_MARKED[0]}+{_MARKED[1]}*{_SUFFIX}",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
}
LONGEST = 5


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_splits_are_those_of_tiktoken(name: Any, alphabet: str) -> None:
    texts = ["".join(t) for size in range(1, LONGEST + 1) for t in itertools.product(alphabet, repeat=size)]
    ranks = {bytes([byte]): byte for byte in range(256)}
    for text in texts:
        ranks.setdefault(text.encode(), len(ranks))
    encoding = tiktoken.Encoding("test", pat_str=EXPRESSIONS[name], mergeable_ranks=ranks, special_tokens={})
    texts = random.Random(3).sample(texts, 3000)
    starts, ends = pretoken_ends(PreTokenizer(pattern=name), pa.array(texts))
    for number, text in enumerate(texts):
        at, expected = 0, []
        for piece in encoding.decode_tokens_bytes(encoding.encode_ordinary(text)):
            at += len(piece)
            expected.append(at)
        assert ends[starts[number] : starts[number + 1]].tolist() == expected, ascii(text)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_expressions_here_are_those_tiktoken_ships(name: Any) -> None:
    source = inspect.getsource(importlib.import_module("tiktoken_ext.openai_public"))
    for alternative in EXPRESSIONS[name].split("|"):
        assert alternative in source
