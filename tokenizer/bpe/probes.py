"""Texts made to tell two encoders apart: every class the pre-tokenizer's patterns speak of, mixed at random.

Used where there are no documents to compare on, and beside them, because real text seldom holds the cases
in which a fast pre-tokenizer goes wrong (combining marks, unusual spaces, digits of other scripts, ...).
"""

from __future__ import annotations

from collections.abc import Iterable

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


def probe_texts(spellings: Iterable[str] = (), count: int = 400) -> list[str]:
    """`count` texts of 0 to 300 pieces, always the same, and some odd ones.

    `spellings` (of added tokens) are mixed in, and come alone, halved, doubled and one inside the other.
    """
    import numpy as np

    spellings = list(spellings)
    draw = np.random.Generator(np.random.Philox(key=0x70726F6265))
    words = (*_WORDS, *spellings)
    texts: list[str] = []
    for _ in range(count):
        favourites = draw.integers(0, len(_ALPHABETS), size=1 + int(draw.integers(0, 4)))
        pieces: list[str] = []
        for _ in range(int(draw.integers(0, 300))):
            if draw.random() < 0.15:
                pieces.append(words[int(draw.integers(0, len(words)))])
                continue
            alphabet = _ALPHABETS[int(favourites[int(draw.integers(0, len(favourites)))])]
            size = 1 + int(draw.geometric(0.4))
            pieces.append("".join(alphabet[int(i)] for i in draw.integers(0, len(alphabet), size=size)))
        texts.append("".join(pieces))
    nested = [f"{one[: len(one) // 2]}{one}{one[len(one) // 2 :]} {one}{one} {one[:-1]}" for one in spellings]
    texts += nested
    return [*texts, "", " ", "\n", " " * 3000, "a" * 3000, "中" * 3000, "\u0301" * 100, "1" * 1000, *words]
