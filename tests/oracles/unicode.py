"""Unicode 16 character by character: as `str` and `unicodedata` where this Python knows it."""

from __future__ import annotations

import unicodedata

from corpusmill.pipelines.text.code_points import CATEGORIES, categories, folded


def category(char: str) -> str:
    """The general category; test_code_points compares these with `unicodedata`."""
    return CATEGORIES[categories()[ord(char)]]


def is_newer(char: str) -> bool:
    """Whether the character is newer than this Python, whose `str` methods do not know it."""
    return unicodedata.category(char) == "Cn" != category(char)


def fold(char: str) -> str:
    """One folded character."""
    if is_newer(char):
        return chr(folded()[ord(char)])
    lower = char.lower()
    bare = "".join(c for c in unicodedata.normalize("NFKD", lower) if category(c) != "Mn")
    return bare if len(bare) == 1 and not bare.isspace() else lower[0]


def is_letter(text: str) -> bool:
    """As `str.isalpha`."""
    return text != "" and all(category(char)[0] == "L" for char in text)


def is_letter_or_digit(text: str) -> bool:
    """As `str.isalnum`."""
    return text != "" and all(category(char)[0] in "LN" for char in text)
