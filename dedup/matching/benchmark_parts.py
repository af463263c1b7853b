"""From benchmark items to the parts that are looked for. See `BenchmarkGrams` for the definitions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.grams import gram_hashes
from corpusmill.dedup.kernels.plain_words import item_words
from corpusmill.dedup.matching.normal_forms import normal_forms, singles
from corpusmill.pipelines.contract.documents import Documents

# One row a part. `words`: their number; `grams`: distinct, in order; `heads`: the first words of each. Of
# questions also `hashes`: all words; `plain`: places of those that are no numbers; `anchors`: distinct, and
# `offsets`: the plain word at which each begins first.
PARTS = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),
        *(
            pa.field(name, pa.large_list(kind), nullable=False)
            for name, kind in (
                ("grams", pa.uint64()),
                ("heads", pa.uint64()),
                ("hashes", pa.uint64()),
                ("plain", pa.int64()),
                ("anchors", pa.uint64()),
                ("offsets", pa.int64()),
            )
        ),
    ]
)
# What `item_words` leaves out, as it may stand before a word.
_MARKUP = re.compile(r"&#?[0-9A-Za-z]{1,31};|</?[0-9A-Za-z]{1,31}(?: ?/)?>")
QUESTION, SOLUTION, TEXT = "question", "solution", "text"

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GramRules:
    """The options of `BenchmarkGrams`."""

    n: int
    anchor: int
    min_short_words: int
    max_items: int
    question_fields: list[str]
    solution_fields: list[str]
    benchmark_fields: list[str]
    item_fields: list[str]


class Part(NamedTuple):
    """What `PARTS` holds of a part."""

    words: int
    grams: list[int]
    heads: list[int]
    hashes: list[int]
    plain: list[int]
    anchors: list[int]
    offsets: list[int]


def parts_table(rules: GramRules, batches: Iterator[Documents]) -> pa.Table:
    """`PARTS` rows of all items of these batches."""
    rows: list[dict[str, object]] = []
    for docs in batches:
        for id_, text, source, meta in zip(
            *(docs.column(name).to_pylist() for name in ("id", "text", "source", "meta")), strict=True
        ):
            fields = _fields(meta)
            named = (fields.get(name) for name in rules.benchmark_fields)
            benchmark = next((value for value in named if isinstance(value, str) and value), source)
            own = (fields.get(name) for name in rules.item_fields)
            item = next((str(value) for value in own if isinstance(value, str | int) and value != ""), id_)
            for role, part in _parts(rules, text or "", fields):
                found = part_of(part, rules, role)
                rows.append({"benchmark": benchmark, "item": item, "role": role, **found._asdict()})
    return pa.Table.from_pylist(rows, schema=PARTS)


def _fields(meta: str) -> Mapping[str, object]:
    """The item's metadata; an object under `meta` (a row that has such a field) is looked through as well."""
    fields: dict[str, object] = json.loads(meta)
    inner = fields.get("meta")
    return {**inner, **fields} if isinstance(inner, dict) else fields


def _parts(rules: GramRules, text: str, fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    questions = [q for name in rules.question_fields for q in _strings(fields.get(name)) if q.strip()]
    solutions = [s for name in rules.solution_fields if (s := "\n".join(_strings(fields.get(name)))).strip()]
    for question in dict.fromkeys(questions or [text]):
        yield QUESTION, _with_its_rest(rules, question, text, solutions)
    for solution in solutions:
        yield SOLUTION, solution
    if questions:
        yield TEXT, text


def _strings(value: object) -> list[str]:
    """A string, or those of a list, such as the turns of a conversation."""
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str)]


def _with_its_rest(rules: GramRules, question: str, text: str, solutions: list[str]) -> str:
    """The question, or, if it is too short to be told from other texts, what else the item has after it."""
    count = len(_words(question).every)
    if count >= rules.min_short_words:
        return question
    return text if len(_words(text).every) > count else "\n".join([question, *solutions])


class Words(NamedTuple):
    """Hashes of the words of a text and the bytes after each, hashes of the plain ones and their places among
    the words, and the text's bytes."""

    every: Hashes
    ends: Integers
    plain: Hashes
    places: Integers
    data: npt.NDArray[np.uint8]


def _words(text: str) -> Words:
    data = np.frombuffer(text.encode(), np.uint8)
    room = len(data) // 2 + 2
    hash_W, hash_V = np.empty(room, np.uint64), np.empty(room, np.uint64)
    end_W, word_V = np.empty(room, np.int64), np.empty(room, np.int64)
    count, plain = item_words(data, 0, len(data), normal_forms(True), hash_W, end_W, hash_V, word_V)
    return Words(hash_W[:count], end_W[:count], hash_V[:plain], word_V[:plain], data)


def part_of(text: str, rules: GramRules, role: str) -> Part:
    """What is looked for of a part; nothing of one that is too short."""
    hash_W, end_W, hash_V, word_V, data = _words(text)
    count = len(hash_W)
    length = min(rules.n, count)
    if length < (rules.min_short_words if role == QUESTION else rules.n):
        return Part(count, [], [], [], [], [], [])
    ends, raw = end_W.tolist(), data.tobytes()
    speaks = np.array(
        [
            _speaks(raw[start:end].decode("utf-8", "ignore"))
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
    )
    heads = np.empty(count - rules.min_short_words + 1, np.uint64)
    gram_hashes(hash_W, count, rules.min_short_words, heads)
    grams, chosen = _distinct_that_speak(hash_W, speaks, length)
    part = Part(count, grams.tolist(), heads[chosen].tolist(), [], [], [], [])
    if role != QUESTION:
        return part
    if len(hash_V) < max(rules.n, rules.anchor):
        return part
    anchors, offsets = _distinct_that_speak(hash_V, speaks[word_V], rules.anchor)
    return part._replace(
        hashes=hash_W.tolist(),
        plain=word_V.tolist(),
        anchors=anchors.tolist(),
        offsets=offsets.tolist(),
    )


def _distinct_that_speak(
    hash_W: Hashes, speaks: npt.NDArray[np.bool_], length: int
) -> tuple[Hashes, Integers]:
    """Distinct runs of `length` words of which one speaks, in order, and where each begins first."""
    grams = np.empty(len(hash_W) - length + 1, np.uint64)
    gram_hashes(hash_W, len(hash_W), length, grams)
    seen = np.append(0, np.cumsum(speaks))
    spoken = seen[length:] > seen[:-length]
    _, first = np.unique(grams, return_index=True)
    chosen = np.sort(first[spoken[first]])
    return grams[chosen], chosen


def _speaks(word: str) -> bool:
    """Whether a word, with what stands before it, has two letters or a Han or Kana character."""
    letters = [c for c in _MARKUP.sub(" ", word) if c.isalpha()]
    return len(letters) > 1 or any(singles()[ord(c)] for c in letters)
