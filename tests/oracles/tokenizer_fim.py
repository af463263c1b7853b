"""Fill-in-the-middle on Python strings, and its inverse on tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tests.oracles.text_clusters import clusters

_LINE = r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+"


def split_text(text: str, first: int, second: int, split: str = "characters") -> tuple[str, str, str]:
    """Prefix, middle and suffix at the places that two 64-bit draws give."""
    units = clusters(text) if split == "characters" else re.findall(_LINE, text)
    places = len(units) + 1
    low, high = sorted(((first >> 32) * places >> 32, (second >> 32) * places >> 32))
    prefix, middle, suffix = ("".join(part) for part in (units[:low], units[low:high], units[high:]))
    return prefix, middle, suffix


def unframe(
    tokens: Sequence[int], specials: Mapping[str, int], mode: str, decode: Callable[[Sequence[int]], str]
) -> str:
    """The document that framed tokens (without bos and eos) stand for."""
    begin, hole, end = (list(tokens).index(specials[f"fim_{name}"]) for name in ("begin", "hole", "end"))
    assert begin == 0
    assert begin < hole < end
    prefix, suffix, middle = tokens[1:hole], tokens[hole + 1 : end], tokens[end + 1 :]
    if mode == "psm":
        return decode(prefix) + decode(middle) + decode(suffix)
    assert not prefix
    return decode(middle) + decode(suffix)
