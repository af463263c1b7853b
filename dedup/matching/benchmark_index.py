"""The index that `benchmark_scan` reads, as files of an artefact; `BenchmarkGrams` has the definitions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.benchmark_scan import Grams
from corpusmill.dedup.kernels.hash_set import hash_set
from corpusmill.dedup.kernels.near_questions import Questions
from corpusmill.dedup.matching import question_index
from corpusmill.dedup.matching.benchmark_parts import QUESTION, GramRules
from corpusmill.dedup.matching.question_index import Asked, question_arrays, questions_of
from corpusmill.pipelines.contract.errors import IntegrityError

FILE = "arrays.npz"
GRAM_ARRAYS = ("grams", "heads", "gram_items", "gram_starts", "gram_questions", "question_sizes")
NOT_LOOKED_FOR = "benchmarks_not_looked_for"
ARRAYS = (*GRAM_ARRAYS, "question_items", "item_benchmarks", *question_index.ARRAYS, "near_items")


class _Row(NamedTuple):
    """A row of `PARTS` that can be compared; `item` is the place of (benchmark, item) in their order."""

    item: int
    role: str
    words: int
    grams: tuple[int, ...]
    heads: tuple[int, ...]
    hashes: tuple[int, ...]
    plain: tuple[int, ...]
    anchors: tuple[int, ...]
    offsets: tuple[int, ...]


def write_index(rules: GramRules, part: pa.Table, folder: Path) -> dict[str, Any]:
    """Write the artefact's files; the bytes depend on the set of rows alone. Returns the summary."""
    found = part.to_pylist()
    items = sorted({(row["benchmark"], row["item"]) for row in found})
    number = {item: i for i, item in enumerate(items)}
    lists = _Row._fields[3:]
    rows = sorted(
        {
            _Row(
                number[row["benchmark"], row["item"]],
                row["role"],
                row["words"],
                *(tuple(row[name]) for name in lists),
            )
            for row in found
        }
    )
    names = sorted({benchmark for benchmark, _ in items})
    arrays, facts = _gram_arrays(rules, rows)
    asked = [
        Asked(row.item, row.hashes, row.plain, row.anchors, row.offsets)
        for row in rows
        if row.role == QUESTION
    ]
    near, common = question_arrays(asked, rules.max_items)
    arrays |= near
    arrays["item_benchmarks"] = np.array([names.index(benchmark) for benchmark, _ in items], np.int64)
    np.savez(folder / FILE, allow_pickle=False, **{name: arrays[name] for name in ARRAYS})
    said = {
        "n": rules.n,
        "anchor": rules.anchor,
        "head": rules.min_short_words,
        "lengths": facts.pop("lengths"),
        "benchmarks": names,
        "items": [item for _, item in items],
    }
    (folder / "index.json").write_text(json.dumps(said, ensure_ascii=False, sort_keys=True) + "\n")
    counts = [0] * len(names)
    for benchmark in arrays["item_benchmarks"].tolist():
        counts[benchmark] += 1
    grams = set(arrays["grams"].tolist())
    there = {items[row.item][0] for row in rows if not grams.isdisjoint(row.grams)}
    return {
        "benchmarks": dict(zip(names, counts, strict=True)),
        NOT_LOOKED_FOR: [name for name in names if name not in there],
        **facts,
        "questions_with_changes": len(arrays["near_items"]),
        "questions_of_common_words": common,
    }


def _gram_arrays(
    rules: GramRules, rows: list[_Row]
) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, Any]]:
    items: dict[int, set[int]] = {}
    head_of: dict[int, int] = {}
    for row in rows:
        head_of.update(zip(row.grams, row.heads, strict=True))
        for gram in row.grams:
            items.setdefault(gram, set()).add(row.item)
    shared = {gram for gram, where in items.items() if len(where) > rules.max_items}
    index = np.array(sorted(items.keys() - shared), np.uint64)
    position = {gram: i for i, gram in enumerate(index.tolist())}
    questions_of_gram: list[list[int]] = [[] for _ in position]
    sizes: list[int] = []
    question_items: list[int] = []
    lengths = {rules.n}
    skipped = 0
    looked_for: set[tuple[int, ...]] = set()
    for row in rows:
        if row.role != QUESTION:
            continue
        left = tuple(gram for gram in row.grams if gram not in shared)
        if not left or 2 * len(left) < len(row.grams):
            skipped += 1
            continue
        lengths.add(min(row.words, rules.n))
        if left in looked_for:  # the same question twice needs looking for once
            continue
        looked_for.add(left)
        for gram in left:
            questions_of_gram[position[gram]].append(len(sizes))
        sizes.append(len(left))
        question_items.append(row.item)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "grams": index,
        "heads": np.unique(np.array([head_of[gram] for gram in position], np.uint64)),
        "gram_items": np.array([min(items[gram]) for gram in position], np.int64),
        "gram_starts": np.append(0, np.cumsum([len(q) for q in questions_of_gram])).astype(np.int64),
        "gram_questions": np.array([q for some in questions_of_gram for q in some], np.int64),
        "question_sizes": np.array(sizes, np.int64),
        "question_items": np.array(question_items, np.int64),
    }
    facts = {
        "lengths": sorted(lengths),
        "grams": len(index),
        "grams_shared_by_many_items": len(shared),
        "questions": len(sizes),
        "questions_not_looked_for": skipped,
    }
    return arrays, facts


@dataclass(frozen=True)
class Index:
    """The loaded artefact. `benchmark` and `item`: names of each item; `question_items` int64[P] and
    `near_items`: items of the questions of `grams` and of `questions`."""

    n: int
    grams: Grams
    questions: Questions
    benchmark: list[str]
    item: list[str]
    question_items: npt.NDArray[np.int64]
    near_items: npt.NDArray[np.int64]


def load_index(folder: Path) -> Index:
    """Read the artefact. Raises IntegrityError if its files disagree."""
    facts = json.loads((folder / "index.json").read_text())
    with np.load(folder / FILE, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in ARRAYS}
    sound = (
        len(arrays["gram_items"]) == len(arrays["grams"]) == len(arrays["gram_starts"]) - 1
        and len(arrays["question_sizes"]) == len(arrays["question_items"])
        and arrays["gram_starts"][-1] == len(arrays["gram_questions"])
        and len(arrays["item_benchmarks"]) == len(facts["items"])
        and question_index.fit_together(arrays)
    )
    if not sound:
        raise IntegrityError(
            f"{folder}: the arrays of the benchmark index do not fit together; build it again"
        )
    return Index(
        n=facts["n"],
        grams=Grams(
            lengths=np.array(facts["lengths"], np.int64),
            grams=hash_set(arrays["grams"]),
            head_length=facts["head"],
            heads=hash_set(arrays["heads"]),
            items=arrays["gram_items"],
            starts=arrays["gram_starts"],
            question=arrays["gram_questions"],
            sizes=arrays["question_sizes"],
            benchmarks=arrays["item_benchmarks"],
        ),
        questions=questions_of(facts["anchor"], arrays),
        benchmark=[facts["benchmarks"][number] for number in arrays["item_benchmarks"].tolist()],
        item=facts["items"],
        question_items=arrays["question_items"],
        near_items=arrays["near_items"],
    )


def empty_index() -> Index:
    """An index that nothing is in."""
    hashes, whole, ends = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(1, np.int64)
    arrays = dict.fromkeys(question_index.ARRAYS, whole)
    arrays |= dict.fromkeys(("starts", "plain_ends", "word_ends"), ends)
    none: dict[str, npt.NDArray[np.generic]] = {
        **arrays,
        **dict.fromkeys(("anchors", "plain", "every"), hashes),
    }
    nothing = hash_set(hashes)
    grams = Grams(np.ones(1, np.int64), nothing, 1, nothing, whole, ends, whole, whole, whole)
    return Index(1, grams, questions_of(1, none), [], [], whole, whole)
