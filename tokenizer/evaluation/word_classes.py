"""What a word is, for figures of tokens per word.

In the manner of Unicode Standard Annex #29, simplified: a word is a longest run of letters, marks, numbers
and connecting punctuation (`_`); an apostrophe (U+0027, U+2019) between two letters belongs to it. Each
Han character and Hiragana, and each character of the scripts without spaces (Thai, Lao, Khmer, Myanmar),
is a word by itself, marks included. So `don't` and `x_1` are one word, `3.14` and `well-known` two.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

_SINGLES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3041, 0x309F),  # Hiragana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


@cache
def word_classes() -> npt.NDArray[np.uint8]:
    """The class of every code point, uint8[0x110000], from the interpreter's Unicode data (read-only)."""
    from corpusmill.tokenizer.kernels.token_figures import APOSTROPHE, JOINS, LETTER, OTHER, SINGLE

    kinds = "".join(map(unicodedata.category, map(chr, range(0x110000))))  # two letters a code point
    major, minor = np.frombuffer(kinds.encode(), np.uint8).reshape(-1, 2).T
    classes = np.full(0x110000, OTHER, np.uint8)
    classes[major == ord("L")] = LETTER
    classes[(major == ord("M")) | (major == ord("N")) | ((major == ord("P")) & (minor == ord("c")))] = JOINS
    for first, last in _SINGLES:
        span = classes[first : last + 1]
        span[span != OTHER] = SINGLE
    classes[[0x27, 0x2019]] = APOSTROPHE
    classes.setflags(write=False)
    return classes
