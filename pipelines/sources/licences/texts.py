"""Which licence a text is, by its words, against the texts that the package `identify` carries.

Those are the 35 of choosealicense.com. As licensee does, which GitHub uses, words are compared and not their
order: the Sørensen-Dice coefficient of the two multisets of words, without copyright lines and titles, must
be 0.95. Two licences of the set that differ in their terms have at most 0.983 (OSL and AFL), so the nearest
one is taken. Of the licence files of 86 packages for Python whose metadata name one licence of the set, 77
are found, all of them rightly; the others hold further texts or only name a licence.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

LEAST = 0.95
_WORD = re.compile(r"[a-z0-9]+")
_END = re.compile(r"end of (?:the )?terms and conditions|how to apply these terms")
_COPYRIGHT = re.compile(
    r"^[^\w\n]*(?:portions )?(?:copyright\b|\(c\)|©|all rights reserved).*$", re.MULTILINE
)
_TITLE = re.compile(
    r"^[^\w\n]*(?:the )?[\w .,()/'\"-]{0,60}\blicen[cs]e\b[\w .,()/'\":-]{0,30}$", re.MULTILINE
)
_PLACE = re.compile(r"\[(?:year|fullname|project|email|login|projecturl)\]")  # for what each project fills in
_TITLES_WITHIN = 400  # characters
# Words that restrict what a text otherwise like a free licence allows: the JSON licence, the Commons Clause.
_RESTRICTIONS = frozenset(("evil", "commercial", "noncommercial", "commercially", "commons"))


def license_of_text(text: str) -> str | None:
    """The SPDX id of the licence that a text is, or None. GPL-3.0 and its like stand without `only` or
    `or-later`, which the text of a licence does not say."""
    words = _words(text)
    size = sum(words.values())
    best, nearest = None, 0.0
    for name, known, length in _known():
        if 2 * min(size, length) < LEAST * (size + length):  # even if one were part of the other
            continue
        same = 2 * sum((words & known).values()) / (size + length)
        if same > nearest and not any(word in words and word not in known for word in _RESTRICTIONS):
            best, nearest = name, same
    return best if nearest >= LEAST else None


@cache
def _known() -> list[tuple[str, Counter[str], int]]:
    from identify.vendor.licenses import LICENSES

    found = []
    for name, text in sorted(LICENSES):
        words = _words(_PLACE.sub("", text))
        found.append((name, words, sum(words.values())))
    return found


def _words(text: str) -> Counter[str]:
    text = _END.split(text.lower().replace("\r", "\n"), maxsplit=1)[0]
    text = _COPYRIGHT.sub("", text)
    head, rest = text[:_TITLES_WITHIN], text[_TITLES_WITHIN:]
    return Counter(_WORD.findall(_TITLE.sub("", head, count=2) + rest))
