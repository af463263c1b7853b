"""Pre-tokens by the definition: the regular expressions, applied by `tokenizers` to one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

NAMED = [
    PreTokenizer(pattern="deepseek_v3"),
    PreTokenizer(pattern="gpt2"),
    PreTokenizer(pattern="cl100k"),
    PreTokenizer(pattern="o200k"),
    PreTokenizer(pattern="qwen"),
    PreTokenizer(pattern="llama3"),
]
VARIANTS = [
    PreTokenizer(pattern="deepseek_v3", digits=1, punctuation_line_breaks=False),
    PreTokenizer(pattern="deepseek_v3", digits=5),
    PreTokenizer(pattern="gpt2", digits=2),
    PreTokenizer(pattern="cl100k", punctuation_line_breaks=False),
    PreTokenizer(pattern="o200k", digits=2, punctuation_line_breaks=False),
    PreTokenizer(pattern="qwen", digits=16),
    PreTokenizer(pattern="llama3", digits=1, punctuation_line_breaks=False),
]

# Characters on which the expressions differ, few enough for every short text over them.
ALPHABETS = [
    *("aA \n1'", "sS'ſ \u0301", "中A\u0301a /", "./ \na"),
    *("ǅʰa\r\n.", "\u3000\x85 \n.a", "\u200b½1\x1c \n"),
]


def byte_ends(pre: Any) -> Callable[[str], list[int]]:
    """The byte ends of a text's pieces under a `tokenizers` pre-tokenizer that shows text as it is."""

    def ends(text: str) -> list[int]:
        found, end = [], 0
        for piece, _ in pre.pre_tokenize_str(text):
            end += len(piece.encode())
            found.append(end)
        return found

    return ends


def expected_ends(pre: PreTokenizer) -> Callable[[str], list[int]]:
    """The byte ends of a text's pre-tokens."""
    from tokenizers import Regex, pre_tokenizers

    splits = [pre_tokenizers.Split(Regex(regex), "isolated") for regex in pre.regexes()]
    return byte_ends(pre_tokenizers.Sequence(splits))


def joined(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Offsets and bytes of documents, as the kernels take them."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    offsets[1:] = np.cumsum([len(text) for text in encoded])
    offsets.flags.writeable = False
    return offsets, np.frombuffer(b"".join(encoded) + b"\0", np.uint8)
