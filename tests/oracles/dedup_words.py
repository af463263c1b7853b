"""Plain-Python words, characters and shingle sets: what the kernels of `dedup` must equal."""

from __future__ import annotations

import re

from tests.oracles.unicode import category as category_of
from tests.oracles.unicode import fold

MASK = (1 << 64) - 1
MULTIPLIER = 0x9E3779B97F4A7C15
NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U000323af]"
)


def symbols(text: str, normalize: str) -> list[str]:
    """What the text is to words: " " between them, "\0c" a character that is a word, else the character."""
    out: list[str] = []
    in_number = False
    for char, after in zip(text, text[1:] + " ", strict=False):
        category = category_of(char)
        if normalize == "none":
            if char.isspace() or ord(char) < 2:
                out.append(" ")
            else:
                out.append("\0" * is_single(char) + char)
            continue
        if category in ("Mn", "Me", "Cf"):
            continue
        if normalize == "numbers":
            if category == "Nd":
                if not in_number:
                    out.append("0")
                in_number = True
                continue
            if in_number and char in ".," and after in tuple("0123456789"):
                continue
            in_number = False
        if category[0] in "PSZC":
            out.append(" ")
        else:
            out.append("\0" * is_single(char) + fold(char))
    return out


def is_single(char: str) -> bool:
    """Whether the character is a word by itself."""
    return NO_SPACES.match(char) is not None and category_of(char)[0] in "LMN"


def words(text: str, normalize: str = "fold") -> list[str]:
    """The normalised words of a text."""
    found = [""]
    for symbol in symbols(text, normalize):
        if symbol == " ":
            found.append("")
        elif symbol[0] == "\0" and len(symbol) == 2:
            found += [symbol[1], ""]
        else:
            found[-1] += symbol
    return [word for word in found if word]


def characters(text: str, normalize: str = "fold") -> str:
    """The normalised text, runs of separators as one space."""
    joined = "".join(s[1] if len(s) == 2 else s for s in symbols(text, normalize))
    return re.sub(" +", " ", joined).strip(" ")


def avalanche(x: int) -> int:
    """MurmurHash3's finaliser over Python integers."""
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def word_hash(word: str) -> int:
    """64-bit hash of one word."""
    h = 0
    for char in word:
        h = (h ^ ord(char)) * MULTIPLIER & MASK
    return avalanche(h)


def shingle_set(text: str, by_word: bool, width: int, normalize: str, short: str) -> list[int]:
    """Sorted distinct 32-bit shingle values."""
    if by_word:
        units = [word_hash(word) for word in words(text, normalize)]
    else:
        units = [ord(char) for char in characters(text, normalize)]
    values = set()
    for i in range(len(units) - width + 1):
        h = 0
        for unit in units[i : i + width]:
            h = (h * MULTIPLIER + unit) & MASK
        values.add(avalanche(h) >> 32)
    if not values and short == "exact":
        visible = [byte for byte in text.encode() if byte not in b" \t\n\v\f\r"]
        if visible:
            h = 0
            for byte in visible:
                h = (h ^ byte + 1) * MULTIPLIER & MASK
            values.add((avalanche(h ^ 0x5851F42D4C957F2D) | 1) >> 32)
    return sorted(values)


def jaccard(a: list[int], b: list[int]) -> float:
    """Jaccard index of two sets given as lists."""
    both = len(set(a) & set(b))
    return both / (len(a) + len(b) - both)


def contained(a: list[int], b: list[int]) -> float:
    """The share of `a` that `b` has; of the whole of it in a larger `b` the largest number under 1."""
    both = len(set(a) & set(b))
    return 1 - 2.0**-53 if both == len(a) < len(b) else both / len(a)


def item_words(text: str) -> list[str]:
    """The words that benchmark items are told by: those of the text without entities and plain tags."""
    return words(re.sub(r"&#?[0-9A-Za-z]{1,31};|</?[0-9A-Za-z]{1,31}(?: ?/)?>", " ", text))
