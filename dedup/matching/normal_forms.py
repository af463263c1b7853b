"""What every character is to words that are matched: one array that kernels read, uint32[0x110000].

The entry of a code point is `SEPARATOR`, `SKIP`, or the folded code point with flags in the high bits:

- `SEPARATOR`: ends a word. With `fold`, everything but letters, numbers, marks and format characters
  (Unicode categories P*, S*, Z*, Cc, Cn, Co, Cs); without, white space only.
- `SKIP` (with `fold` only): invisible to words. Combining marks (Mn, Me), so that composed and decomposed
  text agree, and format characters (Cf: soft hyphen, joiners, byte-order mark).
- `SINGLE`: a character that is a word by itself, because its script is written without spaces: Han, Hiragana,
  Katakana, Thai, Lao, Khmer and Myanmar. A run of them gives one word a character.
- `DIGIT`: a decimal digit (Nd).

Folding lower-cases and takes the base character of the compatibility decomposition where that is one
character (`É` and fullwidth `Ｅ` become `e`); otherwise the lower-cased character itself, so ligatures and
Hangul syllables stay whole (`text.code_points.folded`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import (
    CODE_POINTS,
    KATAKANA,
    SEPARATORS,
    UNSPACED,
    WHITE_SPACE,
    folded,
    in_categories,
    within,
)

SEPARATOR = 0
SKIP = 1
SINGLE = 1 << 31
DIGIT = 1 << 30
CODE_POINT = (1 << 21) - 1

Table = npt.NDArray[np.uint32]


@lru_cache(maxsize=1)
def singles() -> npt.NDArray[np.bool_]:
    """bool[0x110000]: the code points whose script is written without spaces."""
    return within(UNSPACED) | within(KATAKANA)


@lru_cache(maxsize=2)
def normal_forms(fold: bool) -> Table:
    """The array, read-only."""
    table = folded().copy() if fold else np.arange(CODE_POINTS, dtype=np.uint32)
    table[in_categories("Nd")] |= np.uint32(DIGIT)
    table[singles() & in_categories("L M N")] |= np.uint32(SINGLE)
    if fold:
        table[in_categories("P S Z Cc Cn Co Cs")] = SEPARATOR
        table[in_categories("Mn Me Cf")] = SKIP
    else:
        table[within(WHITE_SPACE) | within(SEPARATORS)] = SEPARATOR
        table[:2] = SEPARATOR  # controls 0 and 1 would read as SEPARATOR and SKIP
    table.setflags(write=False)
    return table
