"""Byte-level BPE as on a blackboard: merge the pair that was learned first, until none is left."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer


class SlowBpe:
    """Encodes with the vocabulary and merges of a tokenizer.json; its pre-tokenizer does the splitting."""

    def __init__(self, path: Path) -> None:
        model = json.loads(path.read_text(encoding="utf-8"))["model"]
        self.vocabulary: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self._split = Tokenizer.from_file(str(path)).pre_tokenizer

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        for word, _ in self._split.pre_tokenize_str(text) if text else []:
            tokens.extend(self.vocabulary[piece] for piece in self._merge(list(word)))
        return tokens

    def _merge(self, pieces: list[str]) -> list[str]:
        while len(pieces) > 1:
            pairs = [(self.ranks.get(pair), i) for i, pair in enumerate(pairwise(pieces))]
            known = [(rank, i) for rank, i in pairs if rank is not None]
            if not known:
                break
            _, at = min(known)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return pieces
