"""Entries that look wrong: never produced, pieces of characters, long repeats, traces of persons and secrets.

The classes follow Land and Bartolo, Fishing for Magikarp (2024): `partial` entries are no whole UTF-8;
`unreachable` ones are not what encoding their own text gives. Here an entry that the texts at hand did
produce is never called unreachable, since in context a split may fall elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from corpusmill.pipelines.records.tokenizer_figures import Entry, EntryCount, Suspicious, TraceCount
from corpusmill.tokenizer.evaluation.encoding import Speller
from corpusmill.tokenizer.evaluation.tally import Tally
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary

_EXAMPLES = 20
REPEAT_BYTES = 16  # from this length on, an entry of one unit repeated is reported
_TOP_LEVELS = "com|org|net|edu|gov|info|biz|cn|de|uk|ru|fr|jp|io|co|ai|xyz"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# What an entry must hold to be named; the first that fits, in this order.
_TRACES = {
    "e-mail": re.compile(
        rf"[\w.+-]+@[\w-]+\.(?:{_TOP_LEVELS})\b|@(?:gmail|yahoo|hotmail|outlook|qq)\b", re.I
    ),
    "url": re.compile(rf"https?://\w|\bwww\.\w|\b[\w-]{{2,}}\.(?:{_TOP_LEVELS})(?:/|\Z)", re.I),
    "ip address": re.compile(rf"(?<![\d.]){_BYTE}(?:\.{_BYTE}){{3}}(?![\d.])"),
    "key": re.compile(r"(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,}|(?:AKIA|ghp_|sk-)[A-Za-z0-9]{4,}"),
    "phone number": re.compile(r"(?<!\w)\+?\(?\d{2,4}\)?(?:[ -]\(?\d{2,4}\)?){2,}(?!\w)"),
    "digit run": re.compile(r"\d{7,}"),
}
_LONGEST = 512
_MIXED = re.compile(r"[A-Za-z0-9+/_-]{16,}")


def trace_of(text: str) -> str | None:
    """Which trace of a person or a secret an entry holds: e-mail, url, ip address, phone number, ...

    Of a longer entry the first `_LONGEST` characters are looked at: the time grows with their square.
    """
    text = text[:_LONGEST]
    for name, pattern in _TRACES.items():
        if pattern.search(text):
            return name
    for found in _MIXED.findall(text):
        # Words and identifiers seldom change between digits and letters of both cases this often.
        changes = sum(_sort(a) != _sort(b) for a, b in pairwise(found))
        if any(c.isdigit() for c in found) and changes * 3 >= len(found) and found.lower() != found:
            return "key"
    return None


def _sort(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


def _is_repeat(spelling: bytes) -> bool:
    """Whether the entry is one unit of at most four bytes, repeated."""
    if len(spelling) < REPEAT_BYTES:
        return False
    return any(spelling == (spelling[:n] * len(spelling))[: len(spelling)] for n in (1, 2, 3, 4))


def suspicious(vocabulary: Vocabulary, speller: Speller, tally: Tally) -> Suspicious:
    """Counts and examples (id, token) of each kind; added tokens are left out."""
    literal = set(vocabulary.added.values())
    seen = tally.seen
    partial: list[int] = []
    whole: list[int] = []
    repeats: list[int] = []
    traces: dict[str, list[int]] = {}
    for index, spelling in enumerate(vocabulary.spellings):
        if spelling is None or index in literal:
            continue
        if _is_repeat(spelling):
            repeats.append(index)
        try:
            text = spelling.decode()
        except UnicodeDecodeError:
            if len(spelling) > 1:
                partial.append(index)
            continue
        whole.append(index)
        trace = trace_of(text)
        if trace is not None:
            traces.setdefault(trace, []).append(index)
    back = speller.ids([(vocabulary.spellings[index] or b"").decode() for index in whole])
    unreachable = [
        index
        for index, ids in zip(whole, back, strict=True)
        if (len(ids) != 1 or int(ids[0]) != index) and seen[index] == 0
    ]
    pii = Counter({trace: len(found) for trace, found in traces.items()})
    return Suspicious(
        unreachable=_told(vocabulary, unreachable),
        partial_utf8=_told(vocabulary, partial),
        long_repeats=_told(vocabulary, repeats),
        traces=TraceCount(sum(pii.values()), dict(sorted(pii.items()))),
        trace_examples={trace: _told(vocabulary, traces[trace]).examples for trace in sorted(traces)},
    )


def _told(vocabulary: Vocabulary, found: list[int]) -> EntryCount:
    longest = sorted(found, key=lambda index: (-len(vocabulary.spellings[index] or b""), index))[:_EXAMPLES]
    return EntryCount(len(found), tuple(Entry(index, vocabulary.text(index)) for index in longest))
