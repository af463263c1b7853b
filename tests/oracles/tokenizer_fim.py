"""Fill-in-the-middle on Python strings, and its inverse on tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def split_text(text: str, first: int, second: int) -> tuple[str, str, str]:
    """Prefix, middle and suffix at the positions that two 64-bit draws give."""
    places = len(text) + 1
    low, high = sorted(((first >> 32) * places >> 32, (second >> 32) * places >> 32))
    return text[:low], text[low:high], text[high:]


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
