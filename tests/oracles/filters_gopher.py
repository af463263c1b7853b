"""Plain-Python Gopher and FineWeb rules: each score of one text, straight from its definition."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from corpusmill.pipelines.text import characters as ch
from tests.oracles.text_words import bits, split_words, with_line_feeds
from tests.oracles.unicode import is_letter

Scores = dict[str, float | int | None]


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def gopher_quality(text: str, stop_words: Sequence[str]) -> Scores:
    text = with_line_feeds(text)
    tokens = split_words(text)
    words = [t for t in tokens if not all(bits(c) & ch.SYMBOL for c in t)]
    lines = text.splitlines()
    return {
        "words": len(words),
        "mean_word_length": ratio(sum(map(len, words)), len(words)),
        "hashes_per_word": ratio(text.count("#"), len(tokens)),
        "ellipses_per_word": ratio(text.count("...") + text.count("…"), len(tokens)),
        "bullet_lines": ratio(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": ratio(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_words": ratio(sum(any(map(is_letter, t)) for t in tokens), len(tokens)),
        "stop_words": len(set(tokens) & set(stop_words)),
    }


def duplicates(pieces: list[str]) -> tuple[int, int]:
    again = [piece for k, piece in enumerate(pieces) if piece in pieces[:k]]
    return len(again), sum(map(len, again))


def top_ngram(words: list[str], n: int) -> int:
    grams = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
    if not grams:
        return 0
    # Counter.most_common keeps the first met among equals.
    gram, count = Counter(grams).most_common(1)[0]
    return len(" ".join(gram)) * count


def duplicate_ngrams(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters = at = 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            characters += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return characters


def gopher_repetition(text: str, tops: Sequence[int], repeated: Sequence[int]) -> Scores:
    text = with_line_feeds(text)
    size, words = len(text), split_words(text)
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
    scores: Scores = {
        "duplicate_paragraphs": ratio(duplicates(paragraphs)[0], len(paragraphs) if text else 0),
        "duplicate_paragraph_characters": ratio(duplicates(paragraphs)[1], size),
        "duplicate_lines": ratio(duplicates(lines)[0], len(lines) if text else 0),
        "duplicate_line_characters": ratio(duplicates(lines)[1], size),
    }
    scores |= {f"top_{n}_gram": ratio(top_ngram(words, n), size) for n in tops}
    return scores | {f"duplicate_{n}_gram": ratio(duplicate_ngrams(words, n), size) for n in repeated}


def fineweb_quality(text: str, short: int) -> Scores:
    text = with_line_feeds(text)
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "terminated_lines": ratio(sum(bool(bits(line[-1]) & ch.TERMINAL) for line in lines), len(lines)),
        "short_lines": ratio(sum(len(line) <= short for line in lines), len(lines)),
        "duplicate_line_characters": ratio(duplicates(lines)[1], len(text.replace("\n", ""))),
        "line_breaks_per_word": ratio(text.count("\n"), len(split_words(text))),
    }
