"""Numbers people write with a suffix: `4M` tokens, `1.5B`, `64K`, `4GB`, `512MiB`, `1_000`.

Decimal suffixes are powers of 1,000 (K, M, B or G, T); those with an `i` are powers of 1,024 (Ki, Mi,
Gi, Ti). A closing `B` after K, M, G, T or an `i` form says bytes and changes nothing, so `4GB` is
4,000,000,000 and `4GiB` is 4,294,967,296. A lone `B` is a billion, as in token counts.
"""

from __future__ import annotations

import re
from fractions import Fraction

FORMS = "write digits, or a number with K, M, B, T (thousands), KB, MB, GB, TB or KiB, MiB, GiB, TiB"
PATTERN = r"^[0-9][0-9_]*(\.[0-9]+)?([kKMGTB]|[kKMGT]i|[kKMGT]i?B)?$"

_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_quantity(text: str) -> int:
    """The whole number `text` stands for, exactly. Raises ValueError with the accepted forms."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is no whole number; {FORMS}")
    digits, suffix = re.fullmatch(r"([0-9_.]+)(.*)", text).groups()  # type: ignore[union-attr]
    letter = suffix[:1].upper()
    factor = _BINARY[letter] if "i" in suffix else _DECIMAL[letter]
    value = Fraction(digits.replace("_", "")) * factor
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number ({float(value)})")
    return int(value)
