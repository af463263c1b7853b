"""Charts of block characters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

_UP = " ▁▂▃▄▅▆▇█"
_ALONG = " ▏▎▍▌▋▊▉█"


def columns(heights: Sequence[float], most: float) -> str:
    """One character a column, of eight heights; what is there is seen."""
    if most <= 0:
        return " " * len(heights)
    return "".join(
        _UP[0 if height <= 0 else max(1, round(8 * min(1.0, height / most)))] for height in heights
    )


def bar(share: float, width: int) -> str:
    """A bar of a share from 0 to 1, in eighths of a character, of at most `width` characters."""
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_ALONG[rest] if rest else "")


def stacked(shares: Sequence[float], width: int, marks: str = "█▒░") -> str:
    """One bar of several parts, a mark for each, whole characters; what is left of `width` is blank."""
    done, text = 0.0, ""
    for share, mark in zip(shares, marks, strict=False):
        done += share
        text += mark * (round(width * min(1.0, done)) - len(text))
    return text.ljust(width)
