"""Texts made to tell two encoders apart: every class the pre-tokenizer's patterns speak of, mixed at random.

Used where there are no documents to compare on, and beside them, because real text seldom holds the cases
in which a fast pre-tokenizer goes wrong (combining marks, unusual spaces, digits of other scripts, ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

COUNT = 400  # texts mixed at random, where the caller names no number

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    "٠١٢٣४५६७Ⅷ½²𝟘𝟙",
    " ",
    "\t\u00a0\u2003\u3000\u200b\u0085\u2028",
    "\n\r",
    ".,;:!?'\"-()[]{}<>/\\|@#$%^&*_=+~`",
    "，。！？「」、…—«»¿€£©°±×÷∑√∞→",
    "的一是不了人我在有他这中大来上国个到说们",
    "ひらがなカタカナー・ヽ",
    "한국어텍스트",
    "àéîõüßøåñçœæł",
    "приветмир",
    "שלוםعالمनमस्ते",
    "e\u0301a\u0308o\u0302\u0324",
    "🙂👩\u200d💻🇨🇳👍🏽",
    "\x00\x01\x7f\ufeff\ufffd",
    "龥龦㐀𠀀〇々",
)
_WORDS = (
    "the",
    " of",
    "def ",
    "return",
    "http://",
    "=>",
    "\r\n",
    "\n\n",
    "    ",
    "1000",
    "don't",
    "\\frac{1}{2}",
)


class _Draws:
    """Equal to `numpy.random.Generator(Philox(key=key))`, read in blocks.

    A call of the generator for each of 300,000 small numbers costs ten times as much.
    """

    def __init__(self, key: int) -> None:
        import numpy as np

        self._source = np.random.Philox(key=key)
        self._words: Iterator[int] = iter(())
        self._half: int | None = None

    def _word(self) -> int:
        """64 random bits."""
        for word in self._words:
            return word
        self._words = iter(self._source.random_raw(4096).tolist())
        return self._word()

    def integer(self, below: int) -> int:
        """`integers(0, below)`: Lemire's method on halves of words, the lower half first."""
        if below == 1:
            return 0
        while True:
            if self._half is None:
                word = self._word()
                self._half, half = word >> 32, word & 0xFFFFFFFF
            else:
                half, self._half = self._half, None
            product = half * below
            low = product & 0xFFFFFFFF
            if low >= below or low >= 2**32 % below:
                return product >> 32

    def random(self) -> float:
        """`random()`: FP64 in [0, 1)."""
        return (self._word() >> 11) * 2.0**-53

    def geometric(self, p: float) -> int:
        """`geometric(p)`, by search, as NumPy does for p of a third or more."""
        point, mass, size = self.random(), p, 1
        total = mass
        while point > total:
            mass *= 1.0 - p
            total += mass
            size += 1
        return size


def probe_texts(spellings: Iterable[str] = (), count: int | None = None) -> list[str]:
    """`count` (default: COUNT) texts of 0 to 300 pieces, always the same, and some odd ones.

    `spellings` (of added tokens) are mixed in, and come alone, halved, doubled and one inside the other.
    """
    spellings = list(spellings)
    words = (*_WORDS, *spellings)
    texts = _mixed(words, COUNT if count is None else count)
    nested = [f"{one[: len(one) // 2]}{one}{one[len(one) // 2 :]} {one}{one} {one[:-1]}" for one in spellings]
    odd = ["", " ", "\n", " " * 3000, "a" * 3000, "中" * 3000, "\u0301" * 100, "1" * 1000]
    return [*texts, *nested, *odd, *words]


@lru_cache(maxsize=4)  # a run asks for the same ones in several steps; a megabyte
def _mixed(words: tuple[str, ...], count: int) -> tuple[str, ...]:
    """So many texts of `words` and of runs of characters of a few alphabets."""
    draw = _Draws(key=0x70726F6265)
    texts: list[str] = []
    for _ in range(count):
        many = 1 + draw.integer(4)
        favourites = [_ALPHABETS[draw.integer(len(_ALPHABETS))] for _ in range(many)]
        pieces: list[str] = []
        for _ in range(draw.integer(300)):
            if draw.random() < 0.15:
                pieces.append(words[draw.integer(len(words))])
                continue
            alphabet = favourites[draw.integer(many)]
            size = 1 + draw.geometric(0.4)
            pieces.extend(alphabet[draw.integer(len(alphabet))] for _ in range(size))
        texts.append("".join(pieces))
    return tuple(texts)
