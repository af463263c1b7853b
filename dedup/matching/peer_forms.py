"""The forms in which other tools compare texts, as tables of what becomes of each character.

A form is one string: units of it are the stretches between single spaces, or its characters. Every form here
is a rule for single characters and for runs of digits and white space, so a table of 0x110000 entries and one
pass over the bytes give it. Case, decomposition and categories are those of the Python that runs, as they are
for the tools; the version of its Unicode tables is a part of each step's key.

- `datatrove` (0.10, `utils/text.py: simplify_text`): lower case; a number, with one group after a decimal
  separator, is 0; its list of punctuation is white space; runs of white space are one space, none at the
  ends; canonical decomposition without marks (Mn).
- `slimpajama` (Cerebras modelzoo, `slimpajama/dedup/to_hash.py`): lower case without ASCII punctuation; runs
  of white space are one space, none at the ends.
- `redpajama` (RedPajama-Data, `app/src/utilities/text/normalization.py`): as `slimpajama`, then canonical
  decomposition.
- `text_dedup` (0.4, `minhash.py`): lower case; each character that is not alphanumeric or `_` is one space,
  so that words may be empty.
- `datasketch`: the text as it is; runs of white space are one space, none at the ends.

Not as the tools have it: the Greek capital sigma reads σ at the end of a word too (Python: ς), and marks that
decomposition gives are not put in canonical order with those that stand after the character.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

COPY, SPACE, DROP, DIGIT, OTHER = range(5)
_SEEN = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000), range(0x40000, 0x40001))
_ALIKE = (range(0x40000, 0xE0000), range(0xE1000, 0x110000))  # private and unassigned, as U+40000
_DECIMAL_SEPARATORS = ".,،٫⎖⎗⎘"


class Form(NamedTuple):
    """What becomes of each code point.

    kind: uint8[0x110000], `COPY`, `SPACE` (runs of which are one space, none at the ends), `DROP`, `DIGIT`
    (a run of which is the digit 0), or `OTHER`, the bytes `pool[place[c] + 1:][:pool[place[c]]]`, uint8.
    place: int32[0x110000]. separator: bool[0x110000], what may stand once between digits of one number.
    growth: bytes of the form for each byte of text, at most.
    """

    kind: npt.NDArray[np.uint8]
    place: npt.NDArray[np.int32]
    pool: npt.NDArray[np.uint8]
    separator: npt.NDArray[np.bool_]
    growth: int


def _datatrove(character: str) -> str:
    lower = "".join(" " if _is_datatrove_punctuation(c) else c for c in character.lower())
    if lower.isspace():
        return " "
    return "".join(c for c in unicodedata.normalize("NFD", lower) if unicodedata.category(c) != "Mn")


def _slimpajama(character: str) -> str:
    return " " if character.isspace() else "" if character in string.punctuation else character.lower()


def _redpajama(character: str) -> str:
    return unicodedata.normalize("NFD", _slimpajama(character))


def _text_dedup(character: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else " " for c in character.lower())


def _datasketch(character: str) -> str:
    return " " if character.isspace() else character


_FORMS: dict[str, Callable[[str], str]] = {
    "datatrove": _datatrove,
    "slimpajama": _slimpajama,
    "redpajama": _redpajama,
    "text_dedup": _text_dedup,
    "datasketch": _datasketch,
}


@lru_cache(maxsize=1)
def _datatrove_punctuation() -> frozenset[str]:
    """What datatrove 0.10 takes for punctuation: controls but tab and LF, ASCII marks, and these."""
    marks = set("—”：％〈━【「」，；“《„’∶´（–？！～«〉》】）。…►»、．１") | set(string.punctuation)
    controls = {*range(9), *range(11, 32), *range(127, 160)}
    return frozenset(marks | set(map(chr, controls)))


def _is_datatrove_punctuation(character: str) -> bool:
    return character in _datatrove_punctuation()


@lru_cache(maxsize=8)
def form(name: str) -> Form:
    """The tables of a form, read-only. Takes under a second, once a process."""
    becomes = _FORMS[name]
    numbers, collapses = name == "datatrove", name != "text_dedup"
    kind = np.zeros(0x110000, np.uint8)
    place = np.zeros(0x110000, np.int32)
    separator = np.zeros(0x110000, np.bool_)
    pool = bytearray()
    growth = 1
    for code in (code for span in _SEEN for code in span):
        character = chr(code)
        found = becomes(character)
        if numbers and unicodedata.category(character) == "Nd":
            kind[code] = DIGIT
        elif found == character and not (collapses and found == " "):
            continue
        elif found == " " and collapses:
            kind[code] = SPACE
        elif not found:
            kind[code] = DROP
        else:
            content = found.encode()
            kind[code], place[code] = OTHER, len(pool)
            pool += bytes([len(content)]) + content
            growth = max(growth, -(-len(content) // len(character.encode())))
    for span in _ALIKE:
        kind[span.start : span.stop], place[span.start : span.stop] = kind[0x40000], place[0x40000]
    if numbers:
        separator[[ord(c) for c in _DECIMAL_SEPARATORS]] = True
    tables = kind, place, np.frombuffer(bytes(pool) or b"\0", np.uint8), separator
    for table in tables:
        table.setflags(write=False)
    return Form(*tables, growth)
