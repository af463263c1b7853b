"""Benchmark items planted into clean documents, by kind of leak. Everything follows from `SEED`.

An item is (benchmark, id, question, whole text). Words are those of `str.split`; where a text has hardly any
spaces (Chinese), its characters are its words.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SEED = 13
QUESTION_FIELDS = ("question", "problem", "prompt", "informal_statement", "text")
LONG_PAGE = 20_000  # words


@dataclass(frozen=True)
class Item:
    """An item of a benchmark: `question` alone, and `text`, question and solution as the record has them."""

    benchmark: str
    id: str
    question: str
    text: str

    @property
    def words(self) -> list[str]:
        return words_of(self.question)


@dataclass(frozen=True)
class Planted:
    """A document that holds an item."""

    kind: str
    item: Item
    text: str


def items_of(rows: Sequence[dict[str, Any]]) -> list[Item]:
    """The items of a benchmark's records."""
    found = []
    for row in rows:
        meta = row.get("meta") or {}
        named = (meta.get(name) for name in QUESTION_FIELDS)
        question = next((value for value in named if isinstance(value, str) and value.strip()), row["text"])
        found.append(Item(row["source"].split("/")[0], row["id"], question, row["text"]))
    return found


def unspaced(text: str) -> bool:
    """Whether the characters of a text are its words."""
    han = len(re.findall("[\u3040-\u30ff\u4e00-\u9fff]", text))
    return han * 4 > len(text)


def words_of(text: str) -> list[str]:
    return [c for c in text if not c.isspace()] if unspaced(text) else text.split()


def joined(words: Sequence[str], like: str) -> str:
    return ("" if unspaced(like) else " ").join(words)


def rewrapped(item: Item, rng: random.Random) -> str:
    width = rng.randint(24, 60)
    if unspaced(item.question):
        text = "".join(item.question.split())
        return "\n".join(text[i : i + width] for i in range(0, len(text), width))
    return "\n\n".join(textwrap.wrap(item.question, width))


def without_case_and_punctuation(item: Item, rng: random.Random) -> str:
    text = item.question.upper() if rng.random() < 0.5 else item.question.lower()
    return re.sub(r"[.,;:?!'\"()，。？！：；、（）]", lambda _: rng.choice([" ", " — ", " ! "]), text)


def other_numbers(item: Item, rng: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        while True:
            number = str(rng.randint(1, 10 ** rng.randint(1, 4) - 1))
            if number != match[0]:
                return number

    return re.sub(r"\d+", other, item.question)


NUMERALS = ("two", "three", "four", "six", "seven", "nine", "ten", "eleven", "twelve", "twenty", "hundred")


def numerals(item: Item, rng: random.Random) -> str:
    """The question with another number for each, written out."""
    some = "二三四五六七八九十百" if unspaced(item.question) else NUMERALS
    return re.sub(r"\d[\d,]*(?:\.\d+)?", lambda _: rng.choice(some), item.question)


def every_tenth_word_changed(item: Item, rng: random.Random, vocabulary: Sequence[str]) -> str:
    words = item.words
    for at in range(min(9, len(words) - 1), len(words), 10):
        words[at] = rng.choice(vocabulary)
    return joined(words, item.question)


def random_tenth_changed(item: Item, rng: random.Random, vocabulary: Sequence[str]) -> str:
    words = item.words
    for at in rng.sample(range(len(words)), max(1, round(len(words) / 10))):
        words[at] = rng.choice(vocabulary)
    return joined(words, item.question)


def comment(item: Item, rng: random.Random) -> str:
    mark = rng.choice(["# ", "// ", " * ", "-- "])
    if unspaced(item.question):
        text = "".join(item.question.split())
        lines = [text[i : i + 36] for i in range(0, len(text), 36)]
    else:
        lines = textwrap.wrap(item.question, 68)
    return "\n".join(mark + line for line in lines)


def within(host: str, leak: str, rng: random.Random) -> str:
    """The leak between two lines of the host."""
    lines = host.split("\n")
    at = rng.randint(0, len(lines))
    return "\n".join([*lines[:at], leak, *lines[at:]])


def long_page(hosts: Sequence[str], leak: str, rng: random.Random) -> str:
    """The leak in the middle of one endless paragraph of `LONG_PAGE` words or more."""
    words: list[str] = []
    while len(words) < LONG_PAGE:
        words += rng.choice(hosts).split()
    at = rng.randint(0, len(words))
    return " ".join([*words[:at], leak, *words[at:]])


def planted(items: Sequence[Item], prose: Sequence[str], code: Sequence[str], each: int) -> list[Planted]:
    """`each` documents of each kind, from items drawn evenly among benchmarks."""
    vocabularies = {
        True: [
            c for item in items if unspaced(item.question) for c in item.words if "\u4e00" <= c <= "\u9fff"
        ],
        False: [w for item in items if not unspaced(item.question) for w in item.words if w.isalpha()],
    }

    def changed(
        by: Callable[[Item, random.Random, Sequence[str]], str],
    ) -> Callable[[Item, random.Random], str]:
        return lambda item, rng: by(item, rng, vocabularies[unspaced(item.question)])

    usual = [item for item in items if len(item.words) > 12]
    numbers = [item for item in usual if re.search(r"\d", item.question)]
    short = [item for item in items if 8 <= len(item.words) <= 12]
    shortest = [item for item in items if len(item.words) < 8]
    kinds: list[tuple[str, Sequence[Item], Sequence[str], Callable[[Item, random.Random], str]]] = [
        ("verbatim", usual, prose, lambda item, rng: item.text),
        ("re-wrapped", usual, prose, rewrapped),
        ("case and punctuation", usual, prose, without_case_and_punctuation),
        ("question only", usual, prose, lambda item, rng: item.question),
        ("long page", usual, (), lambda item, rng: item.question),
        ("code comment", usual, code, comment),
        ("numbers changed", numbers, prose, other_numbers),
        ("other numbers, as numerals", numbers, prose, numerals),
        ("every tenth word changed", usual, prose, changed(every_tenth_word_changed)),
        ("a random tenth changed", usual, prose, changed(random_tenth_changed)),
        ("8 to 12 words", short, prose, lambda item, rng: item.question),
        ("under 8 words, with the rest", shortest, prose, lambda item, rng: item.text),
    ]
    found = []
    for kind, suited, hosts, leak in kinds:
        rng = random.Random(f"{SEED} {kind}")
        for item in drawn(suited, each, rng):
            text = leak(item, rng)
            page = within(rng.choice(hosts), text, rng) if hosts else long_page(prose, text, rng)
            found.append(Planted(kind, item, page))
    return found


def drawn(items: Sequence[Item], count: int, rng: random.Random) -> list[Item]:
    """So many items, each benchmark in turn until it has no more."""
    by_benchmark: dict[str, list[Item]] = {}
    for item in items:
        by_benchmark.setdefault(item.benchmark, []).append(item)
    for found in by_benchmark.values():
        rng.shuffle(found)
    chosen: list[Item] = []
    for turn in range(max(map(len, by_benchmark.values()), default=0)):
        chosen += [found[turn] for found in by_benchmark.values() if turn < len(found)]
    return chosen[:count]
