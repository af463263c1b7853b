"""What the bytes of a page hold, told in one pass, so that later steps look only for what may be there.

The loops compare bytes alone, 128 at a time: the compiler makes them a few vector instructions, and a page of
100 KB takes 10 to 20 microseconds. Searches of Python's `bytes` and `str` take ten times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, trailing_zeros

if TYPE_CHECKING:
    import numpy.typing as npt

_STRIDE = 128  # less than 256: a stride is counted in one byte
_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_LESS_THAN = 60  # <
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_SEVEN = np.uint64(0x00FFFFFFFFFFFFFF)
_OPENED, _CLOSED, _CAPITAL = (
    np.uint64(int.from_bytes(tag, "little")) for tag in (b"<iframe", b"</iframe", b"<IFRAME")
)


class InnerPages(NamedTuple):
    """What may stand in markup, byte for byte: `shadowroot` and `srcdoc`; and how many tags of frames do."""

    shadow: bool
    source: bool
    opened: int
    """`<iframe`"""
    closed: int
    """`</iframe`"""
    capital: bool
    """`<IFRAME`"""


@compiled
def find_byte(place: int, end: int, byte: int) -> int:  # pragma: no cover - compiled
    """The first address from `place` on where `byte` stands; without any `end`, or `place` behind it."""
    pattern = np.uint64(byte) * _LOW
    while place + 8 <= end:
        others = eight_at(place) ^ pattern
        hits = (others - _LOW) & ~others & _HIGH
        if hits != 0:
            return place + (trailing_zeros(hits) >> 3)
        place += 8
    while place < end and byte_at(place) != byte:
        place += 1
    return place


@compiled
def latin_letters(data: npt.NDArray[np.uint8]) -> tuple[int, int]:  # pragma: no cover - compiled
    """(letters, doubles) of UTF-8, `data` uint8[n].

    `letters`: characters from U+0080 to U+00FF but for no-break spaces. `doubles`: such letters that stand
    for the first two bytes of a character that was encoded twice (`Ã` and a sign, as in `Ã©`), as far as
    the byte behind them bears that out.
    """
    stop = max(0, len(data) - 3)
    strides = stop // _STRIDE
    letters = 0
    doubles = 0
    for stride in range(strides):
        base = stride * _STRIDE
        few, pairs = np.uint8(0), np.uint8(0)
        for step in range(_STRIDE):
            a, b, c = data[base + step], data[base + step + 1], data[base + step + 2]
            few = np.uint8(few + np.uint8((a == 0xC3) | ((a == 0xC2) & (b != 0xA0))))
            behind = (c == 0xC2) | (c == 0xC5) | (c == 0xC6) | (c == 0xCB) | (c == 0xE2)
            pairs = np.uint8(pairs + np.uint8((a == 0xC3) & (b >= 0x82) & (b <= 0xB4) & behind))
        letters += int(few)
        doubles += int(pairs)
    for i in range(strides * _STRIDE, len(data)):
        a = data[i]
        b = data[i + 1] if i + 1 < len(data) else a
        c = data[i + 2] if i + 2 < len(data) else np.uint8(0)
        letters += a == 0xC3 or (a == 0xC2 and b != 0xA0)
        behind = c == 0xC2 or c == 0xC5 or c == 0xC6 or c == 0xCB or c == 0xE2
        doubles += a == 0xC3 and 0x82 <= b <= 0xB4 and behind
    return letters, doubles


@compiled
def inner_pages(data: npt.NDArray[np.uint8]) -> InnerPages:  # pragma: no cover - compiled
    """What of pages within a page its markup, `data` uint8[n] in an encoding that holds ASCII, may hold."""
    stop = len(data) - 3
    shadows = sources = frames = np.uint8(stop < _STRIDE)
    for stride in range((stop + _STRIDE - 1) // _STRIDE if stop >= _STRIDE else 0):
        base = np.uint64(
            min(stride * _STRIDE, stop - _STRIDE)
        )  # unsigned: no index is looked at for its sign
        for step in range(_STRIDE):
            k = base + np.uint64(step)
            a, b, c, d = data[k], data[k + _1], data[k + _2], data[k + _3]
            shadows = np.uint8(shadows | np.uint8((a == 111) & (b == 119) & (c == 114) & (d == 111)))  # owro
            sources = np.uint8(sources | np.uint8((a == 114) & (b == 99) & (c == 100) & (d == 111)))  # rcdo
            frame = (a == 60) & ((b | 32) == 105) & ((c | 32) == 102) & ((d | 32) == 114)  # <ifr
            frames = np.uint8(frames | np.uint8(frame))
    opened = closed = capitals = 0
    if frames:
        place = address(data)
        end = place + len(data) - 7
        place = find_byte(place, end, _LESS_THAN)
        while place < end:
            eight = eight_at(place)
            opened += eight & _SEVEN == _OPENED
            closed += eight == _CLOSED
            capitals += eight & _SEVEN == _CAPITAL
            place = find_byte(place + 1, end, _LESS_THAN)
    return InnerPages(shadows != 0, sources != 0, opened, closed, capitals > 0)
