"""UTF-8: the code point of one character, by address or in an array."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.text.compiled import forced, inlined, integer
from corpusmill.pipelines.text.kernels.memory import address, byte_at

REPLACEMENT = 0xFFFD


@forced
def character_at(place: int, end: int) -> tuple[int, int]:
    """Code point of the character at address `place` < `end`, and where the next one starts.

    -1, and one byte on, for a byte that begins no character, or one that `end` cuts off.
    """
    byte = byte_at(place)
    if byte < 0x80:
        return byte, place + 1
    if byte >= 0xE0 and byte < 0xF0 and place + 3 <= end:
        code = (byte & 0x0F) << 12 | (byte_at(place + 1) & 0x3F) << 6 | (byte_at(place + 2) & 0x3F)
        return code, place + 3
    if byte >= 0xC2 and byte < 0xE0 and place + 2 <= end:
        return (byte & 0x1F) << 6 | (byte_at(place + 1) & 0x3F), place + 2
    if byte >= 0xF0 and byte < 0xF5 and place + 4 <= end:
        code = (byte & 0x07) << 18 | (byte_at(place + 1) & 0x3F) << 12
        code |= (byte_at(place + 2) & 0x3F) << 6 | (byte_at(place + 3) & 0x3F)
        if code < 0x110000:
            return code, place + 4
    return integer(-1), place + 1


@forced
def code_at(place: int, end: int) -> tuple[int, int]:
    """As `character_at`, with U+FFFD for what begins no character."""
    code, after = character_at(place, end)
    return (code if code >= 0 else integer(REPLACEMENT)), after


@forced
def before(place: int, start: int) -> int:
    """Where the character that ends at address `place` > `start` begins."""
    place -= 1
    while place > start and byte_at(place) & 0xC0 == 0x80:
        place -= 1
    return place


@inlined
def decode(data: Any, at: int, end: int) -> tuple[int, int]:
    """`code_at` for byte `at` < `end` of `data`, uint8[...] contiguous."""
    begin = address(data)
    code, after = code_at(begin + at, begin + end)
    return code, after - begin
