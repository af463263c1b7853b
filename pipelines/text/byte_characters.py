"""Bytes as characters: how byte-level vocabularies write down tokens that are no text.

GPT-2's table (openai/gpt-2, `encoder.py`): the bytes of the printable characters of Latin-1 are shown as
those, the other 68, in order, as the characters from U+0100 on; so a space is `Ġ` and a line break `Ċ`.
"""

from __future__ import annotations

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = tuple(byte for byte in range(256) if byte not in set(_PRINTABLE))

_SHOWN = {byte: chr(byte) for byte in _PRINTABLE} | {b: chr(0x100 + i) for i, b in enumerate(_OTHERS)}
CHARACTERS = {byte: _SHOWN[byte] for byte in range(256)}  # in the order of bytes
_TO_BYTES = str.maketrans({character: chr(byte) for byte, character in CHARACTERS.items()})
_ALPHABET = frozenset(CHARACTERS.values())


def shown(token: bytes) -> str:
    """`token` as a byte-level vocabulary writes it, one character a byte."""
    return token.decode("latin-1").translate(CHARACTERS)


def bytes_of(token: str) -> bytes:
    """The bytes of a token as a byte-level vocabulary writes it. Raises ValueError if it is no such token."""
    if not _ALPHABET.issuperset(token):
        raise ValueError(f"{token!r} holds characters that stand for no byte")
    return token.translate(_TO_BYTES).encode("latin-1")
