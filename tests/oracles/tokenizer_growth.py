"""Vocabulary growth the slow way: a tokenizer cut down to the first merges encodes the texts again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer


def cut_down(definition: dict[str, Any], merges: int) -> Tokenizer:
    """The tokenizer of the first `merges` merges: what they do not make is no entry."""
    model = definition["model"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    kept = pairs[:merges]
    never = {a + b for a, b in pairs} - {a + b for a, b in kept}
    vocabulary = {entry: index for entry, index in model["vocab"].items() if entry not in never}
    smaller = {**model, "vocab": vocabulary, "merges": [list(pair) for pair in kept]}
    return Tokenizer.from_str(json.dumps({**definition, "model": smaller, "added_tokens": []}))


def token_count(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    return sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)


def merge_word(word: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """Byte pair encoding as on a blackboard: the first merge of the list, leftmost, until there is none."""
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    pieces = list(word)
    while True:
        known = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not known:
            return pieces
        _, at = min(known)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
