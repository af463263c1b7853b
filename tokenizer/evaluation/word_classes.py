"""What a word is, for figures of tokens per word.

In the manner of Unicode Standard Annex #29, simplified: a word is a longest run of letters, marks, numbers
and connecting punctuation (`_`); an apostrophe (U+0027, U+2019) between two letters belongs to it. Each
Han character and Hiragana, and each character of the scripts without spaces (Thai, Lao, Khmer, Myanmar),
is a word by itself, marks included. So `don't` and `x_1` are one word, `3.14` and `well-known` two.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import CODE_POINTS, UNSPACED, in_categories, within


@cache
def word_classes() -> npt.NDArray[np.uint8]:
    """The class of every code point, uint8[0x110000], read-only."""
    from corpusmill.tokenizer.kernels.token_figures import APOSTROPHE, JOINS, LETTER, OTHER, SINGLE

    classes = np.full(CODE_POINTS, OTHER, np.uint8)
    classes[in_categories("L")] = LETTER
    classes[in_categories("M N Pc")] = JOINS
    classes[within(UNSPACED) & (classes != OTHER)] = SINGLE
    classes[[0x27, 0x2019]] = APOSTROPHE
    classes.setflags(write=False)
    return classes
