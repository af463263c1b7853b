"""Plain-Python counts of the code quality and mathematics kernels."""

from __future__ import annotations

import re
from collections.abc import Collection

from corpusmill.pipelines.text import characters as ch
from tests.oracles.text_words import bits, split_words, with_line_feeds
from tests.oracles.unicode import is_letter, is_letter_or_digit

LITERALS = re.compile(r"(?:(?:0[xX]|\\[xX])[0-9a-fA-F]{2}[, \n\r]*|\\[uU][0-9a-fA-F]{4}[, \n\r]*){8,}")
BASE64 = re.compile(r"[0-9A-Za-z+/=]+")


def encoded_runs(text: str) -> list[int]:
    """Lengths of the runs of encoded data, left to right; a run of literals goes before one of base64."""
    runs, at = [], 0
    while at < len(text):
        found = LITERALS.match(text, at)
        if not found and (plain := BASE64.match(text, at)):
            found = plain if len(plain.group()) >= 64 else None
            if not found:
                at = plain.end()
                continue
        if found:
            runs.append(len(found.group()))
            at = found.end()
        else:
            at += 1
    return runs


def code_scores(text: str) -> dict[str, float | int | bool | None]:
    text = with_line_feeds(text)
    lines, runs, size = text.splitlines(), encoded_runs(text), len(text)
    return {
        "characters": size,
        "white_space": sum(map(str.isspace, text)),
        "longest_line": max(map(len, lines), default=0),
        "mean_line": sum(map(len, lines)) / len(lines) if lines else None,
        "alphanumeric": sum(map(is_letter_or_digit, text)) / size if size else None,
        "alphabetic": sum(map(is_letter, text)) / size if size else None,
        "encoded": sum(runs) / size if size else None,
        "longest_encoded": max(runs, default=0),
        "lines": len(lines),
        "long_lines": sum(len(line) for line in lines if len(line) > 1000) / size if size else None,
        "xml": "<?xml version=" in text[:110].lower(),
    }


def visible_characters(html: str) -> int:
    """Characters outside of markup, runs of white space as one and none at the start."""
    pattern = r"<!--(?:-?>|.*?(?:-->|\Z))|<(?=(script|style)).*?(?:>|\Z).*?(?=</\1|\Z)|<.*?(?:>|\Z)"
    plain = re.sub(pattern, "", html, flags=re.DOTALL | re.IGNORECASE)
    return len(re.sub(r"[\s\x1c-\x1f\x85]+", " ", plain).lstrip(" ")) if plain else 0


def math_counts(text: str, commands: Collection[str], environments: Collection[str]) -> dict[str, int]:
    """Counts of a text without dollar signs: those are checked by example."""
    assert "$" not in text
    text = with_line_feeds(text)
    counts = dict.fromkeys(("commands", "displays", "signs", "equations", "tokens"), 0)
    at, previous = 0, "\0"
    while at < len(text):
        c = text[at]
        if c == "\\" and at + 1 < len(text):
            if text[at + 1] in "[(":
                counts["displays"] += 1
                at += 2
                continue
            name = re.compile(r"[A-Za-z]*").match(text, at + 1).group()  # type: ignore[union-attr]
            counts["commands"] += len(name) > 1 and name in commands
            environment = re.compile(r"\{([A-Za-z]*)").match(text, at + 6) if name == "begin" else None
            counts["displays"] += environment is not None and environment.group(1) in environments
            # Where no name follows, the backslash takes an ASCII character with it.
            at += 1 + (len(name) or ord(text[at + 1]) < 0x80)
            previous = "\0"
            continue
        if c in "=+*×÷":
            left, right = text[:at].rstrip(" "), text[at + 1 :].lstrip(" -$")
            counts["equations"] += bool(re.search(r"[0-9)%]\Z", left) and re.match(r"[0-9]", right))
        if ord(c) >= 0x80 and bits(c) & ch.MATHEMATICAL:
            alone = not is_letter(previous) and not is_letter(text[at + 1 : at + 2])
            counts["signs"] += alone or not is_letter(c)
        previous = c
        at += 1
    counts["tokens"] = len(split_words(text))
    return counts
