"""What every character is to words, lines and scores: one table of properties, uint16[0x110000].

Low three bits: the word class (see `kernels.words`). Higher bits: properties of the character as Python's
`str` methods and the definitions of the filters understand them. 2.2 MB in all, but a text touches only the
pages of its own scripts.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import CATEGORIES, SEPARATORS, categories, ranges
from corpusmill.pipelines.text.code_points import WHITE_SPACE as WHITE_SPACES

# Word classes.
OTHER, SPACE, LETTER, NUMERIC, KATAKANA, EXTEND, SINGLE = range(7)
WORD_CLASS = 0x07

LOWER = 1 << 3  # general category Ll
ALPHABETIC = 1 << 4  # str.isalpha
ALPHANUMERIC = 1 << 5  # str.isalnum
WHITE_SPACE = 1 << 6  # str.isspace, hence str.strip and str.split
LINE_BREAK = 1 << 7  # str.splitlines
SYMBOL = 1 << 8  # a token of only these is no word to the Gopher rules
TERMINAL = 1 << 9  # ends a sentence
MATHEMATICAL = 1 << 10  # operators, arrows, mathematical alphabets, Greek letters
HAN = 1 << 11  # Chinese characters
OPENS = 1 << 12  # a token of its own at the front of a run of characters without white space
CLOSES = 1 << 13  # the same at its back
UPPER = 1 << 14  # general category Lu

# Characters that end a sentence in some script: the property Sentence_Terminal of the Unicode Character
# Database without the few that are not listed by the FineWeb filters (arXiv 2406.17557), whose set this is.
_TERMINAL = (
    "0021 002E 003F 0589 061D-061F 06D4 0700-0702 07F9 0837 0839 083D-083E 0964-0965 104A-104B 1362 1367-1368"
    " 166E 1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E"
    " 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877"
    " A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57"
    " 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239"
    " 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43"
    " 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88"
)
# Punctuation and control characters of which a "symbol token" is made, beyond ASCII's and the terminals.
# U+FF11, a digit, is among them in the reference implementation too.
_SYMBOLS = (
    "0000-0008 000B-000C 000D-001F 0021-002F 003A-0040 005B-0060 007B-007F 0080-009F 00AB 00B4 00BB 2013-2014"
    " 2019 201C-201E 2026 2236 2501 25BA 3001-3002 3008-300D 3010-3011 FF01 FF05 FF08-FF09 FF0C FF0E FF11"
    " FF1A-FF1B FF1F FF5E"
)
_LINE_BREAKS = "000A-000D 001C-001E 0085 2028-2029"
_HAN = "3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF 3005 3007"
# Scripts whose words are not set apart by spaces and are cut into characters: Han, Hiragana, Bopomofo and
# those of the class Complex_Context (Thai, Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Tai Viet).
_SINGLE = (
    _HAN + " 3006 3041-3096 309D-309F 3105-312F 31A0-31BF 1B001-1B11F 1B150-1B152"
    " 0E01-0E3A 0E40-0E4E 0E81-0EB3 0EBD-0EC6 0EDC-0EDF 1000-103F 1050-108F 109A-109F 1780-17D3 17D7"
    " 17DC-17DD 1950-19DF 1A20-1A5E AA60-AA7F AA80-AADF A9E0-A9EF A9FA-A9FE"
)
_KATAKANA = "3031-3035 309B-309C 30A0-30FA 30FC-30FF 31F0-31FF 32D0-32FE 3300-3357 FF66-FF9D"
# Marks that come off a word at either end: those of spaCy's tokenizer for English (MIT licence).
_EDGES = (
    "0021-0023 0026-002A 002C 003A-003C 003E-003F 005B 005D 005F-0060 007B 007D 00A1 00AB 00B4 00B7 00BB 00BF"
    " 060C 061B 061F 066A 06D4 0964 2013-2014 2018-201A 201C-201E 2026 27E6-27E7 3001-3002 3008-3011"
    " 3014-3015 FF01 FF08-FF09 FF0C FF1A-FF1B FF1F FF5E"
)
_OPENS = "0024-0025 003D 00A3 00A5 00A7 0E3F 20A0-20BF FDFC"
_MATHEMATICAL_EXTRA = (
    "0391-03A9 03B1-03C9 03D1 03D5-03D6 03F0-03F1 03F5 2070-209F 2102-2138 2190-21FF 1D400-1D7FF"
)


# By general category, or its first letter.
_OF_CATEGORY = {
    "L": LETTER | ALPHABETIC | ALPHANUMERIC,
    "Lu": UPPER,
    "Ll": LOWER,
    "N": ALPHANUMERIC,
    "Nd": NUMERIC,
    "M": EXTEND,
    "Cf": EXTEND,
    "Sm": MATHEMATICAL,
    "So": OPENS | CLOSES,
}


@cache
def character_table() -> npt.NDArray[np.uint16]:
    """The table, read-only, made once a process."""
    kinds = [_OF_CATEGORY.get(name, 0) | _OF_CATEGORY.get(name[0], 0) for name in CATEGORIES]
    table = np.array(kinds, np.uint16)[categories()]
    _classify(table, "200B", OTHER)  # a break, not a part of words as other format characters
    _classify(table, f"{WHITE_SPACES} {SEPARATORS}", SPACE)
    _classify(table, _SINGLE, SINGLE, only=LETTER)
    _classify(table, "3007", SINGLE)
    _classify(table, _KATAKANA, KATAKANA)
    for spans, bits in (
        (WHITE_SPACES, WHITE_SPACE),
        (SEPARATORS, WHITE_SPACE),
        (_EDGES, OPENS | CLOSES),
        (_OPENS, OPENS),
        (_LINE_BREAKS, LINE_BREAK),
        (_SYMBOLS, SYMBOL),
        (_TERMINAL, TERMINAL | SYMBOL),
        (_HAN, HAN),
        (_MATHEMATICAL_EXTRA, MATHEMATICAL),
    ):
        for first, last in ranges(spans):
            table[first : last + 1] |= np.uint16(bits)
    table.setflags(write=False)
    return table


def _classify(table: npt.NDArray[np.uint16], spans: str, word_class: int, only: int | None = None) -> None:
    """Give every code point of `spans` (only those now of class `only`, if given) a word class."""
    for first, last in ranges(spans):
        part = table[first : last + 1]
        chosen = np.full(len(part), True) if only is None else (part & WORD_CLASS) == only
        part[chosen] = (part[chosen] & ~np.uint16(WORD_CLASS)) | np.uint16(word_class)
