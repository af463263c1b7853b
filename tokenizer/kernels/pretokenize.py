"""Pre-tokens of UTF-8 text, one pass, no allocation: where each one ends.

A pattern is `code`, int64[4] (`PreTokenizer.code`): the family, the digits in one pre-token at most, whether
punctuation takes the line breaks after it, whether white space at the end of the text is one pre-token.
`classes` is `character_classes.class_table()`. Documents are bytes offsets[i] to offsets[i + 1] of `data`,
valid UTF-8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.tokenizer.kernels.pretokenize_deepseek import deepseek_end
from corpusmill.tokenizer.kernels.pretokenize_gpt import cl100k_end, gpt2_end
from corpusmill.tokenizer.kernels.pretokenize_o200k import o200k_end

# Families, `code[0]`.
DEEPSEEK, GPT2, CL100K, O200K = range(4)


@forced
def next_end(code: Any, data: Any, at: int, end: int, classes: Any) -> int:
    """Where the pre-token at byte `at` of the document that ends at byte `end` ends; at < end.

    `at` is the document's beginning or the end of a pre-token before; nothing else is remembered. The result
    is in (at, end]. Time is linear in the pre-token and the run of white space or letters it stands in.
    """
    table = address(classes)
    start = address(data)
    family, longest, breaks = code[0], code[1], code[2] != 0
    place, stop = start + at, start + end
    if family == DEEPSEEK:
        return deepseek_end(table, place, stop, longest, breaks) - start
    if family == CL100K:
        return cl100k_end(table, place, stop, longest, breaks, code[3] != 0) - start
    if family == O200K:
        return o200k_end(table, place, stop, longest, breaks) - start
    return gpt2_end(table, place, stop, longest) - start


@compiled
def count_pretokens(code: Any, offsets: Any, data: Any, classes: Any) -> Any:
    """How many pre-tokens come before each document: int64[n + 1], the last one the number of all."""
    before = np.zeros(len(offsets), np.int64)
    for doc in range(len(offsets) - 1):
        at, end = offsets[doc], offsets[doc + 1]
        count = before[doc]
        while at < end:
            at = next_end(code, data, at, end, classes)
            count += 1
        before[doc + 1] = count
    return before


@compiled
def pretoken_ends(code: Any, offsets: Any, data: Any, classes: Any, out_ends: Any) -> None:
    """Fill out_ends int64[m], m of `count_pretokens`, with byte ends of pre-tokens in their documents."""
    out = 0
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        at = start
        while at < end:
            at = next_end(code, data, at, end, classes)
            out_ends[out] = at - start
            out += 1
