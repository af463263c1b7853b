"""What a vocabulary is made of: scripts, lengths, and the longest entries of each script."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

from corpusmill.pipelines.records.tokenizer_figures import Composition, SizedEntry
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary

_LONGEST = 10
_LONGEST_BY_SCRIPT = 3
_RENAMED = {  # first words of names that are no script
    "cjk": "han",
    "ideographic": "han",
    "fullwidth": "latin",
    "halfwidth": "katakana",
    "katakana-hiragana": "katakana",
    "variation": "combining",
    **dict.fromkeys(("feminine", "masculine", "superscript", "caron"), "modifier"),
    **dict.fromkeys(("double-struck", "script", "black-letter", "planck", "ohm", "micro"), "mathematical"),
}


@lru_cache(maxsize=2**16)
def _kind(character: str) -> str:
    """The script of a letter or mark, by the first word of its Unicode name; else what sort it is."""
    if character.isspace():
        return "white space"
    category = unicodedata.category(character)
    if category[0] == "N":
        return "digits"
    if category[0] in "PS":
        return "punctuation"
    if category[0] not in "LM":
        return "control"
    name = unicodedata.name(character, "unnamed").split(" ", 1)[0].lower()
    return _RENAMED.get(name, name)


def script_of(spelling: bytes) -> str:
    """The script of an entry's letters (`mixed` where there are several), else what else it holds.

    Entries that are no whole UTF-8 are `partial UTF-8`.
    """
    try:
        text = spelling.decode()
    except UnicodeDecodeError:
        return "partial UTF-8"
    kinds = {_kind(character) for character in text}
    others = {"white space", "digits", "punctuation", "control", "combining"}
    scripts = kinds - others
    if len(scripts) == 1:
        return scripts.pop()
    if scripts:
        return "mixed"
    for kind in ("combining", "digits", "punctuation", "control"):
        if kind in kinds:
            return kind
    return "white space"


def composition(vocabulary: Vocabulary) -> Composition:
    """Entries by script and by length in bytes, and the longest ones; added tokens are counted apart.

    `line_break_combinations`: entries that end in a line break and hold something else than white space,
    the tokens of a token-boundary bias.
    """
    literal = set(vocabulary.added.values())
    entries = [
        (index, spelling)
        for index, spelling in enumerate(vocabulary.spellings)
        if spelling is not None and index not in literal
    ]
    scripts: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    by_script: dict[str, list[tuple[int, int]]] = {}
    combined = 0
    for index, spelling in entries:
        script = script_of(spelling)
        scripts[script] += 1
        lengths[len(spelling)] += 1
        by_script.setdefault(script, []).append((-len(spelling), index))
        combined += spelling.endswith((b"\n", b"\r")) and bool(spelling.strip())
    order = sorted(scripts, key=lambda script: (-scripts[script], script))
    longest = sorted(pair for pairs in by_script.values() for pair in pairs)[:_LONGEST]
    return Composition(
        ids=vocabulary.size,
        entries=len(entries),
        added_tokens=len(vocabulary.added),
        merges=len(vocabulary.merges),
        family=vocabulary.family,
        scripts={script: scripts[script] for script in order},
        lengths={str(length): lengths[length] for length in sorted(lengths)},
        line_break_combinations=combined,
        longest=tuple(_shown(vocabulary, index) for _, index in longest),
        longest_by_script={
            script: tuple(_shown(vocabulary, i) for _, i in sorted(by_script[script])[:_LONGEST_BY_SCRIPT])
            for script in order
        },
    )


def _shown(vocabulary: Vocabulary, index: int) -> SizedEntry:
    return SizedEntry(index, vocabulary.text(index), len(vocabulary.spellings[index] or b""))
