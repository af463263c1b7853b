"""Words and the tokens that touch them, character by character; and a tokenizer made without our trainer."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.unicode import category

SINGLES = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "THAI", "LAO", "MYANMAR", "KHMER")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the words of a text, as `word_classes` defines them."""

    def single(c: str) -> bool:
        named = unicodedata.name(c, "").startswith(SINGLES)
        return named and (category(c)[0] in "LMN")

    def joins(c: str) -> bool:
        return not single(c) and (category(c)[0] in "LMN" or category(c) == "Pc")

    def letter(c: str) -> bool:
        return not single(c) and category(c)[0] == "L"

    def inside(at: int) -> bool:
        if text[at] in "'\u2019":
            return 0 < at < len(text) - 1 and letter(text[at - 1]) and letter(text[at + 1])
        return joins(text[at])

    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        if single(text[at]):
            spans.append((at, at + 1))
            at += 1
        elif inside(at):
            start = at
            while at < len(text) and inside(at):
                at += 1
            spans.append((start, at))
        else:
            at += 1
    return spans


def touching(text: str, pieces: Sequence[bytes]) -> list[int]:
    """For each word, how many of the pieces that make up the text share a byte with it."""
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    owner = [number for number, piece in enumerate(pieces) for _ in piece]
    return [len(set(owner[starts[a] : starts[b]])) for a, b in word_spans(text)]


def trained(texts: Sequence[str], vocab_size: int, pattern: str = "deepseek_v3") -> dict[str, Any]:
    """The tokenizer.json, parsed, of a byte-level BPE trained by `tokenizers`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PreTokenizer.model_validate({"pattern": pattern}).hugging_face()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=["<|end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    definition: dict[str, Any] = json.loads(tokenizer.to_str())
    return definition
