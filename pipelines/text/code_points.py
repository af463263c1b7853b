"""What every code point is: one table of the pinned version of Unicode, unpacked once a process.

Everything that depends on what a character is, in any room, is made from these arrays and the named ranges
below, so that a text means the same to all of them, under every Python. `unicode_table` has the data.
"""

from __future__ import annotations

import base64
import zlib
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)

CODE_POINTS = 0x110000
CATEGORIES = (
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
    "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
)  # fmt: skip

# The property White_Space: it has not changed since Unicode 6.3.
WHITE_SPACE = "0009-000D 0020 0085 00A0 1680 2000-200A 2028-2029 202F 205F 3000"
# What `str.isspace` takes for white space besides: the separators of information.
SEPARATORS = "001C-001F"
# Blocks of scripts written without spaces: Thai and Lao, Myanmar, Khmer, marks of Han, Hiragana, Han; and
# Katakana, which some take for a script with words.
UNSPACED = "0E00-0EFF 1000-109F 1780-17FF 3005-3007 3040-309F 3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF"
KATAKANA = "30A0-30FF 31F0-31FF FF66-FF9F 1B000-1B16F"


def ranges(spans: str) -> list[tuple[int, int]]:
    """`"0041-005A 005F"` -> `[(0x41, 0x5A), (0x5F, 0x5F)]`."""
    pairs = [part.partition("-") for part in spans.split()]
    return [(int(first, 16), int(last or first, 16)) for first, _, last in pairs]


def within(spans: str) -> npt.NDArray[np.bool_]:
    """bool[CODE_POINTS]: the code points of `spans`, ranges as `ranges` reads them."""
    found = np.zeros(CODE_POINTS, np.bool_)
    for first, last in ranges(spans):
        found[first : last + 1] = True
    return found


@cache
def categories() -> npt.NDArray[np.uint8]:
    """uint8[CODE_POINTS], read-only: general categories, as places in `CATEGORIES`."""
    from corpusmill.pipelines.text.unicode_table import CATEGORY_RUNS

    values, lengths = unpacked_numbers(CATEGORY_RUNS).reshape(-1, 2).T
    return _read_only(np.repeat(values.astype(np.uint8), lengths))


def in_categories(names: str) -> npt.NDArray[np.bool_]:
    """bool[CODE_POINTS]: the code points of some categories: `"Lu Nd"`, or `"L Nd"` for all letters too."""
    chosen = [any(category.startswith(name) for name in names.split()) for category in CATEGORIES]
    return np.array(chosen)[categories()]


@cache
def folded() -> npt.NDArray[np.uint32]:
    """uint32[CODE_POINTS], read-only: the folded code point of each (see `generate_unicode_table.fold`)."""
    from corpusmill.pipelines.text.unicode_table import FOLDS

    steps, apart = unpacked_numbers(FOLDS).reshape(-1, 2).T
    codes = np.cumsum(steps)
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    table[codes] = codes + np.where(apart & 1, -(apart >> 1) - 1, apart >> 1)
    return _read_only(table)


def unpacked_numbers(packed: str) -> npt.NDArray[np.int64]:
    """The numbers of LEB128, compressed by zlib, in base85; each of at most 21 bits."""
    content = np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8).astype(np.int64)
    ends = np.flatnonzero(content < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(content)) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((content & 0x7F) << 7 * place, starts)


def _read_only(table: npt.NDArray[Number]) -> npt.NDArray[Number]:
    table.setflags(write=False)
    return table
