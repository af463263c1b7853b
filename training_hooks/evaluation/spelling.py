"""What the ids of a byte-level vocabulary spell, and whether its tokenizer would spell it so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.pipelines.text.token_bytes import token_lengths
from corpusmill.pipelines.text.tokenizer_json import documents_only

I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Reading(NamedTuple):
    """Of some tokens: `undecodable`, the share of their text's characters that are, or became, replacement
    characters; `agreement`, the share of token boundaries, of the shards' and of the tokenizer's own
    encoding of the same text, that both have, each None where there are none; `characters`, code points int64
    of every text."""

    undecodable: float | None
    agreement: float | None
    characters: list[I64]


class Spelling:
    """The tokens of a byte-level tokenizer.json; V is one more than its largest id.

    `length_V` int64[V]: bytes, 0 for control tokens; `starts_word_V` and `ends_space_V` bool[V], see
    `order.word_order_information`.
    """

    def __init__(self, definition: Path, length_V: I64) -> None:
        from tokenizers import Tokenizer

        made = json.loads(definition.read_text(encoding="utf-8"))
        self.length_V = length_V
        self._added_V = np.zeros(len(length_V), np.bool_)
        self._added_V[[token["id"] for token in made["added_tokens"]]] = True
        self._bytes = [b""] * len(length_V)
        for token, number in made["model"]["vocab"].items():
            if not self._added_V[number]:
                self._bytes[number] = bytes_of(token)
        plain = documents_only(made)
        for token in plain["added_tokens"]:  # of white space: documents hold them
            self._added_V[token["id"]] = False
            self._bytes[token["id"]] = token["content"].encode()
        self.starts_word_V = np.array(
            [len(b) > 1 and b[:1] == b" " and not b[1:2].isspace() for b in self._bytes]
        )
        self.ends_space_V = np.array([not b or b[-1:].isspace() for b in self._bytes])
        self._breaks_V = np.array([bool(b) and not b.strip(b"\r\n") for b in self._bytes])
        self._ends_break_V = np.array([b[-1:] in (b"\r", b"\n") for b in self._bytes])
        # As documents are encoded: nothing is drawn at random, and text that spells a control token is text.
        self._tokenizer = Tokenizer.from_str(json.dumps(plain, ensure_ascii=False))

    def read(self, windows: Sequence[I64]) -> Reading:
        """Read windows of ids below V as text, and encode it again.

        Added tokens end a text. Before line breaks that are a token of their own no boundary is looked at:
        boundary splitting makes them at random.
        """
        characters: list[I64] = []
        replaced = both = either = 0
        for window in windows:
            for tokens in self._texts(window):
                raw = b"".join([self._bytes[token] for token in tokens.tolist()])
                text = raw.decode("utf-8", errors="replace")
                characters.append(np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64))
                replaced += text.count(REPLACEMENT)
                again = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
                ours, theirs = self._boundaries(tokens), self._boundaries(again)
                found = len(np.intersect1d(ours, theirs, assume_unique=True))
                both += found
                either += len(ours) + len(theirs) - found
        length = sum(map(len, characters))
        return Reading(replaced / length if length else None, both / either if either else None, characters)

    def _texts(self, window: I64) -> list[I64]:
        """The stretches of a window between added tokens, without parts of characters at its own ends."""
        cuts = np.flatnonzero(self._added_V[window])
        parts = [part[self._added_V[part[:1]].sum() :] for part in np.split(window, cuts)]
        whole = [self._trimmed(part) for part in parts]
        return [part for part in whole if len(part) > 1]

    def _trimmed(self, tokens: I64) -> I64:
        """Without tokens that hold a part of a character begun before them, or of one that ends after."""
        first, last = 0, len(tokens)
        while first < min(3, last) and b"\x80" <= self._bytes[tokens[first]][:1] < b"\xc0":
            first += 1
        while last > max(first, len(tokens) - 3) and _cut(
            b"".join([self._bytes[token] for token in tokens[max(first, last - 4) : last].tolist()])
        ):
            last -= 1
        return tokens[first:last]

    def _boundaries(self, tokens: I64) -> I64:
        """Offsets in bytes where a token begins, the first apart."""
        if len(tokens) < 2:
            return np.zeros(0, np.int64)
        counted = ~(self._breaks_V[tokens[1:]] & ~self._ends_break_V[tokens[:-1]])
        offsets: I64 = np.cumsum(self.length_V[tokens])[:-1][counted]
        return offsets


def _cut(end: bytes) -> bool:
    """Whether the last character of UTF-8 is not complete."""
    for place in range(1, min(3, len(end)) + 1):
        byte = end[-place]
        if byte >= 0xC0:
            return place < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
        if byte < 0x80:
            return False
    return False


def spelling(definition: Path) -> Spelling | None:
    """None for a vocabulary that is not byte-level or changes text before it splits it."""
    length_V = token_lengths(definition)
    return None if length_V is None else Spelling(definition, length_V)
