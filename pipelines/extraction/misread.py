"""Text that was decoded, but not as it was encoded: its letters stand as no language writes them.

Encodings of one byte a character decode anything, so a wrong declaration shows only in what comes out:

- Latin letters with accents, or signs, four and more in a row and none of them ASCII: another script read as
  a Latin one;
- signs (`¶`, `¼`, box drawing) between two letters of one word: another alphabet of the same kind;
- a capital behind a small letter within words: another alphabet of Cyrillic or Greek;
- half-width kana in every word: EUC-JP read as Shift JIS;
- characters of private use, or none: bytes that are no UTF-16 read as such.

All are judged by shares of the characters that are not ASCII, in the 50,000 characters from the first one on.
"""

from __future__ import annotations

import re
from itertools import pairwise

_LOOKED_AT = 50_000  # characters, from the first that is not ASCII on
_LATIN = frozenset(
    (
        *("cp1252", "cp1250", "cp1254", "cp1257", "mac-roman", "cp437", "cp850", "cp852"),
        *(f"iso8859-{part}" for part in (1, 2, 3, 4, 9, 10, 13, 14, 15, 16)),
    )
)
_NOT_ASCII = re.compile("[^\x00-\x7f\xa0]")
_RUN = re.compile("[^\x00-\x7f\xa0]{4,}")
_LETTER = r"[^\W\d_]"
_SIGN_WITHIN = re.compile(
    rf"(?<={_LETTER})[\x80-\x9f¡-©¬®-³¶¸¹¼-¿×÷\u2020-\u2022\u2030-\u203a\u20ac\u2500-\u259f](?={_LETTER})"
)
_WORD = re.compile(r"[^\W\d_\x00-\x7f]{2,}")
_NO_CHARACTER = re.compile("[\ue000-\uf8ff\ufffd-\uffff]")  # of private use, or none
_NO_CHARACTERS = 0.01
_KANA = re.compile("[\uff61-\uff9f]")
_LEAST, _SURE = 12, 40  # characters that are not ASCII, for a doubt and for certainty
_RUNS, _SIGNS, _CASES, _KANAS = 0.5, 0.1, 0.1, 0.5  # least shares


def misread(text: str, codec: str) -> bool:
    """Whether a text decoded by `codec` reads as no language; False where there is too little to judge."""
    text, others, _ = _looked_at(text)
    if others < _LEAST or codec.startswith(("gb", "big5", "utf-8", "utf_7")):
        return False
    if codec.startswith(("utf-16", "utf-32")):
        return len(_NO_CHARACTER.findall(text)) > _NO_CHARACTERS * others
    if codec in ("cp932", "shift_jis"):
        return len(_KANA.findall(text)) > _KANAS * others
    if codec in _LATIN and _in_runs(text) > _RUNS * others:
        return True
    return len(_SIGN_WITHIN.findall(text)) > _SIGNS * others or _odd_cases(text) > _CASES


def no_latin(text: str, codec: str) -> int | None:
    """Where, in characters, text that is surely not of a Latin alphabet begins; None where it may be one."""
    if codec not in _LATIN:
        return None
    text, others, begin = _looked_at(text)
    if others < _SURE or _in_runs(text) <= _RUNS * others:
        return None
    found = _RUN.search(text)
    return begin + found.start() if found is not None else None


def _looked_at(text: str) -> tuple[str, int, int]:
    """(what is looked at, its characters that are neither ASCII nor no-break spaces, where it begins)."""
    first = _NOT_ASCII.search(text)
    begin = first.start() if first is not None else len(text)
    part = text[begin : begin + _LOOKED_AT]
    return part, len(part) - len(part.encode("ascii", "ignore")) - part.count("\xa0"), begin


def _in_runs(text: str) -> int:
    """Characters in runs of different ones that are not ASCII; a run of one sign is a line, not a word."""
    return sum(len(run) for run in _RUN.findall(text) if len(set(run)) >= 3)


def _odd_cases(text: str) -> float:
    """Of pairs of letters side by side that are not ASCII, the share of small ones before capitals.

    1 where nearly all are capitals and words begin with a small one: KOI8 and windows-1251 have them swapped.
    """
    pairs = odd = capitals = small = swapped = 0
    for word in _WORD.findall(text):
        pairs += len(word) - 1
        if word.islower():
            small += len(word)
        elif word.isupper():
            capitals += len(word)
        else:
            odd += sum(before.islower() and c.isupper() for before, c in pairwise(word))
            capitals += sum(map(str.isupper, word))
            small += sum(map(str.islower, word))
            swapped += len(word) > 2 and word[0].islower() and word[1:].isupper()
    if pairs < _LEAST:
        return 0.0
    return 1.0 if swapped >= 2 and capitals > 3 * small else odd / pairs


# Bytes 0x80 to 0xbf as windows-1252 and ISO-8859-1 read them.
_FOLLOWING = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_TWICE = re.compile(f"([\xc2-\xdf]{_FOLLOWING}|[\xe0-\xef]{_FOLLOWING}{{2}}|[\xf0-\xf4]{_FOLLOWING}{{3}})")
_LONGEST = 4  # characters of a sequence
_MOSTLY = 0.5


def encoded_once(text: str, doubles: int) -> str | None:
    """Text that was encoded as UTF-8 twice (`Ã©`), as it was before; None where that is no such text.

    `doubles`: how many of its characters may begin a sequence (`page_bytes.latin_letters`).

    It is one where at least two sequences, and half of all characters that are not ASCII, are bytes of UTF-8
    read as windows-1252.
    """
    if doubles < 2:
        return None
    least = _MOSTLY * (len(text) - len(text.encode("ascii", "ignore")))
    if doubles * _LONGEST < least:
        return None
    parts = _TWICE.split(text)  # every second one is a sequence
    found = parts[1::2]
    if len(found) < 2 or sum(map(len, found)) < least:
        return None
    once = {sequence: _once(sequence) for sequence in set(found)}
    parts[1::2] = [once[sequence] for sequence in found]
    return "".join(parts)


def _once(sequence: str) -> str:
    raw = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252") for c in sequence)
    return raw.decode("utf-8", "replace") if _valid(raw) else sequence


def _valid(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
