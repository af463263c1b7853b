"""The part of a text that says which language it is in: without licence headers, markup and lines of
another script.

A page of Japanese may begin with a screen of English licence, and hold English commands in every other
line. A model that averages over words then says English, since Japanese has few white spaces and so few
words. Hence:

1. The text begins behind the last line of its first 8 KiB that speaks of a licence, each within 12 lines of
   the one before, if something follows.
2. Of a long text, `PLACES` places spread over it are read, the first at its beginning; of these, tags,
   addresses and fenced code are left out.
3. Where lines are of several scripts, those of the script with most information stay. A letter of Han, Kana
   or Hangul counts as 2.5 others: the Universal Declaration of Human Rights has 0.27 (Chinese) to 0.44
   (Korean) characters for one in English. Latin loses from 0.65 down: Latin names and commands stand in
   texts of every language, the reverse is rare.
"""

from __future__ import annotations

import re
from typing import Any

PLACES = 8
HEADER_BYTES, BODY_BYTES = 8_192, 60
GAP = 12  # lines without a word of licences behind which a header has ended
WIDE = 2.5
LATIN_LEAST = 0.65
_LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_MARKUP = re.compile(
    r"```.{0,4000}?```|</?[A-Za-z!][^<>]{0,400}>|https?://\S+|&#?\w{1,8};|\\[A-Za-z]{2,}",
    re.DOTALL,
)
_LICENCE = (
    "copyright", "(c) 1", "(c) 2", "©", "license", "licence", "all rights reserved", "permission is granted",
    "permission is hereby", "warrant", "redistribut", "merchantability", "liable", "liability", "spdx",
    "free software foundation", "general public", "without restriction", "substantial portions",
)  # fmt: skip
# Where a licence has begun, also these.
_GOES_ON = (
    "free software", "program", "software", "rights", "copies", "distribut", "modif", "source code", "notice",
    "condition", "provided", "author", "patent", "freedom", "gnu ", "permission", "document", "damage",
)  # fmt: skip
_ASCII_CAPITALS = bytes(range(0x41, 0x5B))
_ASCII_LETTERS = _ASCII_CAPITALS + bytes(range(0x61, 0x7B))
_CAPITALS, _OTHER = re.compile(r"[À-ÖØ-ÞΑ-ΩА-Я]"), re.compile(r"[^\x00-\x7f]+")
_LETTERS = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-zª-ʯᴀ-ᶿḀ-ỿ]")
_EAST = re.compile(
    r"[\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U000323af]"
)
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


def sampled(data: Any, size: int) -> str:
    """Of the bytes `data`, uint8[...], at most `size`, in `PLACES` places; cut characters are left out."""
    if len(data) <= size:
        return bytes(data).decode("utf-8", "ignore")
    width = size // PLACES
    starts = [(len(data) - width) * place // (PLACES - 1) for place in range(PLACES)]
    return "\n".join(bytes(data[start : start + width]).decode("utf-8", "ignore") for start in starts)


def lines_of(text: str) -> list[str]:
    """The lines that are not blank, whatever ends them."""
    return [line for line in _LINE_ENDS.split(text) if line.strip()]


def mostly_capitals(text: str) -> bool:
    """Whether over half of the letters are capitals."""
    plain = text.encode("ascii", "ignore")
    capitals = len(plain) - len(plain.translate(None, _ASCII_CAPITALS))
    letters = len(plain) - len(plain.translate(None, _ASCII_LETTERS))
    if len(plain) < len(text):
        others = "".join(_OTHER.findall(text))
        capitals, letters = capitals + len(_CAPITALS.findall(others)), letters + len(_LETTERS.findall(others))
    return 2 * capitals > letters


def running_text(text: str, *, mixed: bool) -> str:
    """One line: `text` without markup, and of its main script where it has letters of several (`mixed`)."""
    lines = lines_of(_MARKUP.sub(" ", text)) or lines_of(text)
    if mixed:
        lines = _of_main_script(lines)
    return " ".join(" ".join(lines).replace("\0", " ").split())


def header_end(data: Any) -> int:
    """Bytes of the licence header that `data`, uint8[...], begins with; 0 for none, or if nothing follows."""
    head = bytes(data[:HEADER_BYTES]).decode("utf-8", "ignore")
    end = number = at = 0
    for found in _LINE_ENDS.finditer(head):
        line, at = head[at : found.start()].lower(), found.end()
        if number > GAP:
            break
        if any(words in line for words in _LICENCE) or (end and any(words in line for words in _GOES_ON)):
            end, number = at, 0
        number += 1
    size = len(head[:end].encode())
    return size if len(data) - size >= BODY_BYTES else 0


def _of_main_script(lines: list[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    weights: dict[str, float] = {}
    for line in lines:
        latin = len(_LATIN.findall(line))
        east, hangul = WIDE * len(_EAST.findall(line)), WIDE * len(_HANGUL.findall(line))
        other = len(_LETTERS.findall(line)) - latin - east / WIDE - hangul / WIDE
        found = {"east": east, "hangul": hangul, "other": other, "latin": float(latin)}
        name = max(found, key=found.__getitem__)
        groups.setdefault(name, []).append(line)
        weights[name] = weights.get(name, 0.0) + found[name]
    latin_share = weights.get("latin", 0.0) / max(sum(weights.values()), 1.0)
    if len(groups) > 1 and latin_share < LATIN_LEAST:
        weights.pop("latin", None)
    return groups[max(weights, key=weights.__getitem__)] if weights else lines
