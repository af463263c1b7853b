"""Plain-Python C4 rules for one text."""

from __future__ import annotations

import re

from corpusmill.filters.c4 import POLICY
from corpusmill.pipelines.text import characters as ch
from tests.oracles.text_words import bits, split_words

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(65, 91)})


def count_sentences(line: str) -> int:
    """As spaCy's sentencizer counts, over our words."""
    starts, seen = 0, False
    words = split_words(line)
    for word in words:
        terminal = len(word) == 1 and bool(bits(word) & ch.TERMINAL)
        if terminal:
            seen = True
        elif seen and not all(bits(c) & ch.SYMBOL for c in word):
            starts, seen = starts + 1, False
    return starts + 1 if words else 0


def c4(text: str, terminal: bool = True, least: int = 5) -> tuple[str | None, str]:
    """`(reason, new text)`."""
    kept, sentences = [], 0
    for raw in text.splitlines():
        line = raw.strip()
        words = line.split()
        if any(len(word) > 1000 for word in words):
            continue
        line = CITATION.sub("", line)
        if terminal and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if len(words) < 3:
            continue
        lower = line.translate(LOWER)
        if "lorem ipsum" in lower:
            return "lorem_ipsum", text
        if "javascript" in lower:
            continue
        if "{" in line:
            return "curly_bracket", text
        if any(phrase in lower for phrase in POLICY):
            continue
        sentences += count_sentences(line)
        kept.append(line)
    return ("too_few_sentences", text) if sentences < least else (None, "\n".join(kept).strip())
