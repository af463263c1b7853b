"""Character sets of one byte a character, told apart by the pairs of letters that languages write.

Such a set decodes any bytes, and often to letters: `þ` of windows-1252 is `ş` in windows-1254. What shows is
which letters stand side by side. For each language of a script, `letter_pairs.json` has the share of every
pair that holds a letter beyond ASCII, a word's edge counting as a letter. Bytes are read by each set as each
language of its script; the likelihood of all pairs says which reading is best, as in chardetng (Sivonen
2020). Each distinct word counts once, so that a menu repeated over a page is no evidence.
`learning/letter_pairs.py` makes the file.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

PAIRS = Path(__file__).with_name("letter_pairs.json")
LEVELS = 4  # steps of a nat in which the file gives shares
# The character sets of each script; of equal readings the first is taken.
CODECS = {
    "latin": (
        *("cp1252", "cp1250", "cp1254", "cp1257", "iso8859-2", "iso8859-15", "iso8859-13", "iso8859-16"),
        *("iso8859-3", "iso8859-4", "iso8859-10", "iso8859-14", "cp1258", "mac-roman", "mac-latin2"),
        *("mac-turkish", "mac-iceland", "cp850", "cp852", "cp857", "cp775", "cp437"),
    ),
    "cyrillic": ("cp1251", "koi8-u", "iso8859-5", "cp866", "cp1125", "mac-cyrillic"),
    "greek": ("cp1253", "iso8859-7", "cp737"),
    "arabic": ("cp1256", "iso8859-6"),
    "hebrew": ("cp1255", "iso8859-8"),
    "thai": ("cp874",),
}
# Sets that browsers do not know, or pages hardly ever have: six nats less likely before any byte is seen.
_RARE, _RARE_NATS = re.compile("mac-|iso8859-(?:3|4|10|14)|cp(?:437|737|775|85|1125)"), 6.0
_SAME = {"koi8-r": "koi8-u", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874"}
# Symbols before the letters: a word's edge, an apostrophe, dashes, signs of type, other signs, controls,
# letters of other scripts.
_EDGE, _APOSTROPHE, _JOINT, _SIGN, _ODD, _CONTROL, _FOREIGN = range(7)
_JOINTS = frozenset("–—…")  # that stand within words as well
_OF_TYPE = frozenset("·‘“”„‚•«»©®°€£§¶\xa0‹›™½¼¾²³¹º¡¿×±")
# Log likelihoods, in nats: of a pair that no text of a language had; of signs beside an edge and within
# words; of letters that the script does not have, controls, and a capital behind a small letter.
_UNSEEN = -10.8
_JOINED = -4.0
_SIGNS, _SIGNS_WITHIN = -4.6, -8.0
_ODDS, _ODDS_WITHIN = -8.0, -11.0
_FOREIGNS, _CONTROLS, _ODD_CASE = -11.0, -13.0, -6.0
_LOOKED_AT, _WORDS, _WORD = 200_000, 3000, 40  # bytes; distinct words; bytes of one
_MOST_PAIRS = 1500  # different ones, the commonest; pages have some hundreds
_RUN = re.compile(rb"[\x80-\xff][A-Za-z\x80-\xff]*")
_LINE = re.compile(rb"([\x80-\xff])\1{3}")
_ASCII_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes as `language` in `codec`. `nats`: log likelihood of the `pairs` pairs of bytes looked at."""

    codec: str
    language: str
    nats: float
    pairs: int

    @property
    def mean(self) -> float:
        """Nats a pair: about -3 to -6 of a language, -7 and less of none."""
        return self.nats / max(1, self.pairs)


def is_judged(codec: str) -> bool:
    """Whether `readings` reads by this codec."""
    return _SAME.get(codec, codec) in _scripts_of_codecs()


def script_of(codec: str) -> str:
    """The script that a judged codec is for."""
    return _scripts_of_codecs()[_SAME.get(codec, codec)]


def readings(raw: bytes, codecs: Sequence[str] = ()) -> list[Reading]:
    """Bytes as each codec reads them, by falling likelihood; empty where all are ASCII.

    Without `codecs` all that are known are compared, rare ones taken for less likely beforehand. Time: one
    look at up to 200,000 bytes from the first that is not ASCII on, then a few ms, on any bytes.
    """
    bytes_P2, whole_P = _pairs(raw)
    if not len(whole_P):
        return []
    bytes_P2, counts_P = bytes_P2[:_MOST_PAIRS], whole_P[:_MOST_PAIRS].astype(np.float32)
    chosen = [_SAME.get(codec, codec) for codec in codecs] or list(_scripts_of_codecs())
    found = [_reading(codec, bytes_P2, counts_P) for codec in dict.fromkeys(chosen)]
    if not codecs:
        found = [replace(one, nats=one.nats - _RARE_NATS * bool(_RARE.match(one.codec))) for one in found]
    return sorted(found, key=lambda reading: -reading.nats)


def _reading(codec: str, bytes_P2: npt.NDArray[np.intp], counts_P: npt.NDArray[np.float32]) -> Reading:
    languages, nats_LSS = _tables()[_scripts_of_codecs()[codec]]
    symbols_B, small_B, capital_B = _symbols(codec)
    first_P, second_P = bytes_P2[:, 0], bytes_P2[:, 1]
    nats_L = nats_LSS[:, symbols_B[first_P], symbols_B[second_P]] @ counts_P
    best = int(nats_L.argmax())
    odd_cases = float((small_B[first_P] & capital_B[second_P]) @ counts_P)
    nats = float(nats_L[best]) + odd_cases * _ODD_CASE
    return Reading(codec, languages[best], nats, int(counts_P.sum()))


def _pairs(raw: bytes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(pairs, counts), (P, 2) and (P): pairs of neighbours of which one is not ASCII, in distinct words, the
    commonest first, equally common ones as they first come. A space is a word's edge."""
    words: dict[bytes, None] = {}
    last = len(raw)
    for run in _RUN.finditer(raw):
        begin = run.start()
        last = min(last, begin + _LOOKED_AT)
        if begin >= last or len(words) == _WORDS:
            break
        if _LINE.search(run[0]):  # a line of signs, not a word
            continue
        before = raw[max(0, begin - _WORD) : begin]
        words[before[len(before.rstrip(_ASCII_LETTERS)) :] + run[0][:_WORD]] = None
    bytes_B = np.frombuffer(b" ".join((b"", *words, b"")), np.uint8).astype(np.intp)
    first_P, second_P = bytes_B[:-1], bytes_B[1:]
    high = np.flatnonzero((first_P > 127) | (second_P > 127))
    codes, at, counts = np.unique(first_P[high] * 256 + second_P[high], return_index=True, return_counts=True)
    order = np.lexsort((at, -counts))
    return np.stack(np.divmod(codes[order], 256), axis=1), counts[order]


def beside_letters(raw: bytes) -> bytes:
    """Bytes beyond ASCII with the `_WORD` bytes before and behind each, and a space for each gap.

    `readings` finds the same pairs in them, and a page in a language of ASCII letters has few.
    """
    at = np.flatnonzero(np.frombuffer(raw, np.uint8) > 127)
    if not len(at):
        return b""
    first = np.flatnonzero(np.diff(at, prepend=-3 * _WORD) > 2 * _WORD)  # of those that stand together
    last = np.append(first[1:], len(at)) - 1
    begins, ends = np.maximum(at[first] - _WORD, 0), at[last] + _WORD + 1
    return b" ".join(raw[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True))


@cache
def _scripts_of_codecs() -> dict[str, str]:
    return {codec: script for script, codecs in CODECS.items() for codec in codecs}


@cache
def _file() -> dict[str, dict[str, dict[str, str]]]:
    """By script and language: pairs, one behind the other, by the level of their share."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads(PAIRS.read_text("utf-8"))
    return found


@cache
def _letters(script: str) -> Mapping[str, int]:
    """The symbols of the letters of a script's languages, and of ASCII's."""
    known = {letter for levels in _file()[script].values() for pairs in levels.values() for letter in pairs}
    known = (known | set("abcdefghijklmnopqrstuvwxyz")) - {" "}
    return {letter: number for number, letter in enumerate(sorted(known), _FOREIGN + 1)}


@cache
def _tables() -> dict[str, tuple[list[str], npt.NDArray[np.float32]]]:
    """By script: its languages, and the log likelihood of each pair of symbols in each, (L, S, S)."""
    found = {}
    for script, languages in _file().items():
        letters = {" ": _EDGE, **_letters(script)}
        nats_LSS = np.full((len(languages), len(letters) + _FOREIGN, len(letters) + _FOREIGN), _UNSEEN)
        for nats_SS, levels in zip(nats_LSS, languages.values(), strict=True):
            for level, pairs in levels.items():
                for first, second in zip(pairs[::2], pairs[1::2], strict=True):
                    nats_SS[letters[first], letters[second]] = -int(level) / LEVELS
        for sign, beside, within in (
            (_APOSTROPHE, _JOINED, _JOINED),
            (_JOINT, _JOINED, _JOINED),
            (_SIGN, _SIGNS, _SIGNS_WITHIN),
            (_ODD, _ODDS, _ODDS_WITHIN),
            (_FOREIGN, _FOREIGNS, _FOREIGNS),
            (_CONTROL, _CONTROLS, _CONTROLS),
        ):
            nats_LSS[:, sign, :] = nats_LSS[:, :, sign] = within
            for edge in (_EDGE, _APOSTROPHE, _JOINT, _SIGN):
                nats_LSS[:, sign, edge] = nats_LSS[:, edge, sign] = beside
        nats_LSS[:, _EDGE, _APOSTROPHE] = _SIGNS_WITHIN  # none begins a word
        found[script] = list(languages), nats_LSS.astype(np.float32)
    return found


@cache
def _symbols(codec: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """By byte: its symbol, whether it is a small letter, whether a capital one."""
    letters = _letters(_scripts_of_codecs()[codec])
    text = bytes(range(256)).decode(codec, "replace")
    symbols = np.array([_symbol(character, letters) for character in text], np.intp)
    return symbols, np.array([c.islower() for c in text]), np.array([c.isupper() for c in text])


def _symbol(character: str, letters: Mapping[str, int]) -> int:
    if character.isascii():
        return letters[character.lower()] if character.isalpha() else _EDGE
    if character == "\ufffd" or unicodedata.category(character) == "Cc":
        return _CONTROL
    if is_letter(character):
        return letters.get(small(character), _FOREIGN)
    if character == "’":
        return _APOSTROPHE
    return _JOINT if character in _JOINTS else _SIGN if character in _OF_TYPE else _ODD


def is_letter(character: str) -> bool:
    """Whether a character is a letter or a mark on one."""
    return character.isalpha() or unicodedata.category(character).startswith("M")


def small(character: str) -> str:
    """A letter's small form, if that is one character."""
    lower = character.lower()
    return lower if len(lower) == 1 else character
