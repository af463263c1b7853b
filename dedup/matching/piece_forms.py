"""What the characters of a line or paragraph are when it is compared: a table for each normal form.

An entry of a table is the code point that a character becomes, `SEPARATOR` or `SKIP`.

- `exact`: no table. The bytes, with LF for CR LF and CR.
- `ccnet`: as `normalize_for_dedup` of CCNet (Wenzek et al. 2020, arXiv 1911.00359; text_normalizer.py there):
  lower case, every decimal digit as 0, without 34 marks of punctuation and control characters. ASCII
  punctuation, accents and white space count. Characters whose lower case is several characters (only U+0130)
  or depends on its neighbours (final sigma) are taken one by one here.
- `fold`: letters and numbers alone, in lower case, without marks, digits as 0; what stands between them is
  one space.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.matching.normal_forms import CODE_POINT, SEPARATOR, SKIP, normal_forms
from corpusmill.pipelines.text.code_points import CODE_POINTS, in_categories

Normalize = Literal["exact", "ccnet", "fold"]

# The keys of UNICODE_PUNCT in CCNet's text_normalizer.py; U+FF11 is among them there.
CCNET_PUNCTUATION = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"


@cache
def piece_forms(normalize: Normalize) -> npt.NDArray[np.uint32]:
    """uint32[0x110000], read-only; uint32[0] for `exact`."""
    if normalize == "exact":
        table = np.zeros(0, np.uint32)
    elif normalize == "ccnet":
        table = np.arange(CODE_POINTS, dtype=np.uint32)
        for code in np.flatnonzero(in_categories("Lu Lt Nl So")).tolist():
            lower = chr(code).lower()
            if len(lower) == 1:
                table[code] = ord(lower)
        table[in_categories("Nd")] = ord("0")
        table[[ord(mark) for mark in CCNET_PUNCTUATION if mark != "１"]] = SKIP
        table[:32] = SKIP
        table[127:160] = SKIP
    else:
        table = normal_forms(True) & np.uint32(CODE_POINT)
        table[in_categories("Nd")] = ord("0")
        assert (table[in_categories("P S Z Cc")] == SEPARATOR).all()
    table.setflags(write=False)
    return table
