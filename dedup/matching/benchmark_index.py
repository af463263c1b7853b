"""From benchmark items to the gram index that `scan` reads. See `BenchmarkGrams` for the definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.grams import gram_hashes, sieve_of
from corpusmill.dedup.kernels.words import words
from corpusmill.dedup.matching.normal_forms import normal_forms, singles
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError

PARTS = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),
        pa.field("grams", pa.large_list(pa.uint64()), nullable=False),
        pa.field("heads", pa.large_list(pa.uint64()), nullable=False),
    ]
)
QUESTION, SOLUTION, TEXT = "question", "solution", "text"
ARRAYS = (
    "grams",
    "heads",
    "gram_benchmarks",
    "gram_starts",
    "gram_questions",
    "question_sizes",
    "question_benchmarks",
)

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GramRules:
    """The options of `BenchmarkGrams`."""

    n: int
    min_short_words: int
    max_items: int
    question_fields: list[str]
    solution_fields: list[str]
    benchmark_fields: list[str]


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
            for role, part in _parts(rules, text or "", fields):
                count, grams, heads = part_grams(part, rules, role)
                rows.append(
                    {
                        "benchmark": benchmark,
                        "item": id_,
                        "role": role,
                        "words": count,
                        "grams": grams,
                        "heads": heads,
                    }
                )
    return pa.Table.from_pylist(rows, schema=PARTS)


def _fields(meta: str) -> Mapping[str, object]:
    """The item's metadata; an object under `meta` (a row that has such a field) is looked through as well."""
    fields: dict[str, object] = json.loads(meta)
    inner = fields.get("meta")
    return {**inner, **fields} if isinstance(inner, dict) else fields


def _parts(rules: GramRules, text: str, fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    questions = [q for name in rules.question_fields if isinstance(q := fields.get(name), str) and q.strip()]
    for question in dict.fromkeys(questions or [text]):
        yield QUESTION, question
    for name in rules.solution_fields:
        value = fields.get(name)
        lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        solution = "\n".join(line for line in lines if isinstance(line, str))
        if solution.strip():
            yield SOLUTION, solution
    if questions:
        yield TEXT, text


def part_grams(text: str, rules: GramRules, role: str) -> tuple[int, list[int], list[int]]:
    """Number of words of `text`, its distinct grams in order, and the first words of each: the heads."""
    data = np.frombuffer(text.encode(), np.uint8)
    hash_W = np.empty(len(data) // 2 + 2, np.uint64)
    end_W = np.empty(len(hash_W), np.int64)
    count = words(data, 0, len(data), normal_forms(True), False, hash_W, end_W)
    length = min(rules.n, count)
    if length < (rules.min_short_words if role == QUESTION else rules.n):
        return count, [], []
    grams = np.empty(count - length + 1, np.uint64)
    gram_hashes(hash_W, count, length, grams)
    heads = np.empty(count - rules.min_short_words + 1, np.uint64)
    gram_hashes(hash_W, count, rules.min_short_words, heads)
    ends = end_W[:count].tolist()
    raw = data.tobytes()
    speaks = [
        _speaks(raw[start:end].decode("utf-8", "ignore"))
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
    seen = np.append(0, np.cumsum(speaks))
    spoken = seen[length:] > seen[:-length]
    _, first = np.unique(grams, return_index=True)
    chosen = np.sort(first[spoken[first]])
    return count, grams[chosen].tolist(), heads[chosen].tolist()


def _speaks(word: str) -> bool:
    letters = [c for c in word if c.isalpha()]
    return len(letters) > 1 or any(singles()[ord(c)] for c in letters)


def write_index(rules: GramRules, part: pa.Table, folder: Path) -> dict[str, Any]:
    """Write the artefact's files; the bytes depend on the set of rows alone. Returns the summary."""
    rows = sorted(
        {
            (
                row["benchmark"],
                row["item"],
                row["role"],
                row["words"],
                tuple(row["grams"]),
                tuple(row["heads"]),
            )
            for row in part.to_pylist()
        }
    )
    names = sorted({row[0] for row in rows})
    number = {name: i for i, name in enumerate(names)}
    items: dict[int, set[tuple[str, str]]] = {}
    of_benchmark: dict[int, int] = {}
    head_of: dict[int, int] = {}
    for benchmark, item, _, _, grams, heads in rows:
        head_of.update(zip(grams, heads, strict=True))
        for gram in grams:
            items.setdefault(gram, set()).add((benchmark, item))
            of_benchmark.setdefault(gram, number[benchmark])
    shared = {gram for gram, where in items.items() if len(where) > rules.max_items}
    index = np.array(sorted(items.keys() - shared), np.uint64)
    position = {gram: i for i, gram in enumerate(index.tolist())}
    questions_of: list[list[int]] = [[] for _ in position]
    sizes: list[int] = []
    benchmarks: list[int] = []
    lengths = {rules.n}
    skipped = 0
    looked_for: set[tuple[int, ...]] = set()
    for benchmark, _, role, n_words, grams, _ in rows:
        if role != QUESTION:
            continue
        left = tuple(gram for gram in grams if gram not in shared)
        if not left or 2 * len(left) < len(grams):
            skipped += 1
            continue
        lengths.add(min(n_words, rules.n))
        if left in looked_for:  # the same question twice needs looking for once
            continue
        looked_for.add(left)
        for gram in left:
            questions_of[position[gram]].append(len(sizes))
        sizes.append(len(left))
        benchmarks.append(number[benchmark])
    arrays = {
        "grams": index,
        "heads": np.unique(np.array([head_of[gram] for gram in position], np.uint64)),
        "gram_benchmarks": np.array([of_benchmark[gram] for gram in position], np.int64),
        "gram_starts": np.append(0, np.cumsum([len(q) for q in questions_of])).astype(np.int64),
        "gram_questions": np.array([q for some in questions_of for q in some], np.int64),
        "question_sizes": np.array(sizes, np.int64),
        "question_benchmarks": np.array(benchmarks, np.int64),
    }
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", arrays[name], allow_pickle=False)
    facts = {"n": rules.n, "head": rules.min_short_words, "lengths": sorted(lengths), "benchmarks": names}
    (folder / "index.json").write_text(json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n")
    return {
        "benchmarks": {name: len({row[1] for row in rows if row[0] == name}) for name in names},
        "grams": len(index),
        "grams_shared_by_many_items": len(shared),
        "questions": len(sizes),
        "questions_not_looked_for": skipped,
    }


@dataclass(frozen=True)
class Index:
    """The loaded artefact, with its sieve."""

    lengths: Integers
    n: int
    head: int
    benchmarks: list[str]
    grams: Hashes
    heads: Hashes
    sieve: Hashes
    gram_benchmarks: Integers
    gram_starts: Integers
    gram_questions: Integers
    question_sizes: Integers
    question_benchmarks: Integers


def load_index(folder: Path) -> Index:
    """Read the artefact. Raises IntegrityError if its files disagree."""
    facts = json.loads((folder / "index.json").read_text())
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
    sound = (
        len(arrays["gram_benchmarks"]) == len(arrays["grams"]) == len(arrays["gram_starts"]) - 1
        and len(arrays["question_sizes"]) == len(arrays["question_benchmarks"])
        and arrays["gram_starts"][-1] == len(arrays["gram_questions"])
    )
    if not sound:
        raise IntegrityError(
            f"{folder}: the arrays of the benchmark index do not fit together; build it again"
        )
    return Index(
        lengths=np.array(facts["lengths"], np.int64),
        n=facts["n"],
        head=facts["head"],
        benchmarks=facts["benchmarks"],
        sieve=sieve_of(arrays["heads"]),
        **arrays,
    )


def empty_index() -> Index:
    """An index that holds nothing: what the scan is compiled with before there is one."""
    whole, hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    return Index(
        lengths=np.ones(1, np.int64),
        n=1,
        head=1,
        benchmarks=[],
        grams=hashes,
        heads=hashes,
        sieve=sieve_of(hashes),
        gram_benchmarks=whole,
        gram_starts=np.zeros(1, np.int64),
        gram_questions=whole,
        question_sizes=whole,
        question_benchmarks=whole,
    )
