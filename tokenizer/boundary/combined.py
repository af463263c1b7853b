"""The table of combined tokens: which ids end in line breaks after punctuation, and their parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.tokenizer.kernels.split_boundary_tokens import CONTROL, ORDINARY


@dataclass(frozen=True)
class TokenTable:
    """What the kernels know of a vocabulary of V ids.

    `rows` int32[V]: ORDINARY, CONTROL (an added token, or no token at all: never produced from text), or the
    row of a combined token. The parts of row r are `parts[starts[r]:starts[r + 1]]`, at least two (starts
    int64[C + 1], parts int64[...]). `marked` uint8[...]: one bit an id, low bits first, set where it is not
    ordinary, and for the ids beyond V that fill the last byte.
    """

    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]
    marked: npt.NDArray[np.uint8]


def token_table(
    definition: dict[str, Any], size: int, encode_symbols: Callable[[str], Sequence[int]]
) -> TokenTable:
    """The table of a tokenizer, from `documents_only` of its tokenizer.json, whose ids lie below `size`.

    `encode_symbols` applies the merges to a string of the vocabulary's own symbols. A combined token that
    holds a symbol which is no entry by itself stays ordinary.
    """
    vocabulary: dict[str, int] = definition["model"]["vocab"]
    spellings = {index: token for token, index in vocabulary.items()}
    rows = np.full(size, CONTROL, np.int32)
    rows[list(spellings)] = ORDINARY
    alphabet = tuple(CHARACTERS.values()) if _holds(definition.get("decoder"), "ByteLevel") else None
    breaks = "\r\n" if alphabet is None else alphabet[0x0D] + alphabet[0x0A]
    parts_of: dict[int, list[int]] = {}
    for token, index in vocabulary.items():
        head = token.rstrip(breaks)
        if head in ("", token) or _is_white_space(head, alphabet):
            continue
        if all(symbol in vocabulary for symbol in token):
            parts_of[index] = [*encode_symbols(head), *encode_symbols(token[len(head) :])]
            assert "".join(spellings[part] for part in parts_of[index]) == token
    combined = sorted(parts_of)
    rows[combined] = np.arange(len(combined))
    starts = np.cumsum([0, *(len(parts_of[index]) for index in combined)], dtype=np.int64)
    parts = np.array([part for index in combined for part in parts_of[index]], np.int64)
    marked = np.ones(-(-size // 8) * 8, np.bool_)
    marked[:size] = rows != ORDINARY
    return TokenTable(rows, starts, parts, np.packbits(marked, bitorder="little"))


def _is_white_space(head: str, alphabet: Sequence[str] | None) -> bool:
    """Whether a spelling stands for white space alone; bytes that are not valid UTF-8 are not."""
    if alphabet is None:
        return head.replace("\u2581", " ").strip() == ""
    byte_of = {character: byte for byte, character in enumerate(alphabet)}
    return bytes(byte_of[character] for character in head).decode("utf-8", "replace").strip() == ""


def _holds(component: Any, kind: str) -> bool:
    """Whether a component of a tokenizer.json is of this type, or a sequence that holds one that is."""
    if isinstance(component, dict):
        return component.get("type") == kind or any(_holds(value, kind) for value in component.values())
    return isinstance(component, list) and any(_holds(value, kind) for value in component)
