"""Boundary splitting in plain Python: the table of combined tokens, and one document's tokens split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from tokenizers import pre_tokenizers

from tests.oracles.tokenizer_bpe import SlowBpe

_ENDS_IN_BREAKS = re.compile(rb"(.*[^\r\n])([\r\n]+)", re.DOTALL)
_WORD = 2**64


def symbol_bytes() -> dict[str, int]:
    """The byte that each symbol of a byte-level vocabulary stands for, asked of `tokenizers`."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    found = {chr(byte): byte for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}  # in no UTF-8 text
    for point in [*range(0x800), 0x800, 0xFFFF, *range(0x1000, 0x110000, 0x1000)]:
        if 0xD800 <= point < 0xE000:
            continue
        symbols = level.pre_tokenize_str(chr(point))[0][0]
        found.update(zip(symbols, chr(point).encode(), strict=True))
    return found


def combined_table(bpe: SlowBpe, controls: set[int]) -> dict[int, list[int]]:
    """Combined token -> its parts."""
    byte_of = symbol_bytes()
    table: dict[int, list[int]] = {}
    for token, index in bpe.vocabulary.items():
        if index in controls:
            continue
        cut = _ENDS_IN_BREAKS.fullmatch(bytes(byte_of[symbol] for symbol in token))
        if cut is None or not cut[1].decode("utf-8", "replace").strip():
            continue
        halves = token[: len(cut[1])], token[len(cut[1]) :]
        table[index] = [bpe.vocabulary[piece] for half in halves for piece in bpe._merge(list(half))]
    return table


def splitmix64(seed: int, position: int) -> int:
    """Output number `position + 1` of the published generator, all of them drawn in turn."""
    state = seed
    out = 0
    for _ in range(position + 1):
        state = (state + 0x9E3779B97F4A7C15) % _WORD
        out = state
        out = ((out ^ (out >> 30)) * 0xBF58476D1CE4E5B9) % _WORD
        out = ((out ^ (out >> 27)) * 0x94D049BB133111EB) % _WORD
        out ^= out >> 31
    return out


def split(
    tokens: Sequence[int], table: Mapping[int, Sequence[int]], draw: int, rate: float
) -> tuple[list[list[int]], int, int]:
    """What each token of a document becomes; how many were combined; how many of these were split."""
    out: list[list[int]] = []
    combined = 0
    changed = 0
    for position, token in enumerate(tokens):
        chosen = token in table and Fraction(splitmix64(draw, position) // 2**11, 2**53) < Fraction(rate)
        combined += token in table
        changed += chosen
        out.append(list(table[token]) if chosen else [token])
    return out, combined, changed
