"""What each Unicode code point is to a word: a two-level table that kernels read without calling Python.

`table(fold)` gives `(pages, entries)`: the entry of code point c is `entries[pages[c >> 8], c & 255]`, a
uint32 that is `SEPARATOR`, `SKIP`, or the folded code point with flags in the high bits:

- `SEPARATOR`: ends a word. With `fold`, everything but letters, numbers, marks and format characters
  (Unicode categories P*, S*, Z*, Cc, Cn, Co, Cs); without, white space only.
- `SKIP` (with `fold` only): invisible to words. Combining marks (Mn, Me), so that composed and decomposed
  text agree, and format characters (Cf: soft hyphen, joiners, byte-order mark).
- `SINGLE`: a character that is a word by itself, because its script is written without spaces: Han, Hiragana,
  Katakana, Thai, Lao, Khmer and Myanmar. A run of them gives one word a character.
- `DIGIT`: a decimal digit (Nd).

Folding lower-cases and takes the base character of the compatibility decomposition where that is one
character (`É` and fullwidth `Ｅ` become `e`); otherwise the lower-cased character itself, so ligatures and
Hangul syllables stay whole. The data is that of the running Python: `unicodedata.unidata_version`, 14 in
Python 3.11.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SEPARATOR = 0
SKIP = 1
SINGLE = 1 << 31
DIGIT = 1 << 30
CODE_POINT = (1 << 21) - 1

Table = tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]

# Scripts written without spaces, by block.
SINGLE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark and zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1B000, 0x1B16F),  # Kana supplement
    (0x20000, 0x323AF),  # Han extensions B to H
)
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))  # no character is assigned elsewhere but private use


def is_single(code: int) -> bool:
    """Whether this code point's script is written without spaces."""
    return any(first <= code <= last for first, last in SINGLE_RANGES)


def folded(char: str) -> str:
    """One character for `char`: lower-cased, without marks, compatibility-decomposed if that is one.

    A letter never becomes white space, as Arabic ligatures of marks alone (U+FC5E) would: it stays itself.
    """
    lower = char.lower()
    bare = [c for c in unicodedata.normalize("NFKD", lower) if unicodedata.category(c) != "Mn"]
    return bare[0] if len(bare) == 1 and not bare[0].isspace() else lower[0]


def entry(char: str, fold: bool) -> int:
    """The table's entry of one character: the definition, one code point at a time."""
    category = unicodedata.category(char)
    if not fold:
        if char.isspace():
            return SEPARATOR
        value = ord(char)
        if value < 2:  # controls 0 and 1 would read as SEPARATOR and SKIP
            return SEPARATOR
    elif category[0] in "PSZ" or category in ("Cc", "Cn", "Co", "Cs"):
        return SEPARATOR
    elif category in ("Mn", "Me", "Cf"):
        return SKIP
    else:
        value = ord(folded(char))
    if category == "Nd":
        value |= DIGIT
    if is_single(ord(char)) and category[0] in "LMN":
        value |= SINGLE
    return value


@lru_cache(maxsize=2)
def table(fold: bool) -> Table:
    """`(pages, entries)`, uint16[0x1100] and uint32[n_pages, 256], shared pages stored once. ~0.2 s once."""
    values = np.zeros(0x110000, np.uint32)
    if not fold:
        values[:] = np.arange(0x110000, dtype=np.uint32)
    for block in _ASSIGNED:
        values[block.start : block.stop] = [_fast_entry(code, fold) for code in block]
    pages, entries = np.zeros(0x1100, np.uint16), list[npt.NDArray[np.uint32]]()
    seen: dict[bytes, int] = {}
    for page, row in enumerate(values.reshape(0x1100, 256)):
        content = row.tobytes()
        if content not in seen:
            seen[content] = len(entries)
            entries.append(row)
        pages[page] = seen[content]
    return pages, np.stack(entries)


def _fast_entry(code: int, fold: bool) -> int:
    # Han and Hangul make up most of the table and are their own folding: skip the decomposition.
    if 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0x20000 <= code <= 0x2A6DF:
        return code | SINGLE if not fold or unicodedata.category(chr(code)) == "Lo" else SEPARATOR
    if 0xAC00 <= code <= 0xD7A3:
        return code
    return entry(chr(code), fold)
