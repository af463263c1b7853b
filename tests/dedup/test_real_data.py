"""Labelled revisions of real pages, and real benchmarks, where the data is at hand."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.decontaminate import Decontaminate
from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from tests.oracles.dedup_exchange import documents, pairs_and_removals
from tests.oracles.dedup_words import words


def lines(path: Path) -> list[str]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as raw:
        return io.TextIOWrapper(raw, encoding="utf-8").read().split("\n")


def load(path: Path) -> tuple[Documents, list[dict[str, Any]]]:
    rows = [json.loads(line) for line in lines(path) if line]
    docs = documents([row["text"] for row in rows], ids=[row["id"] for row in rows])
    meta = [json.dumps({**row.get("meta", {}), "source": row["source"]}) for row in rows]
    return docs.with_columns({"meta": pa.array(meta)}), rows


def test_labelled_revisions(data: Path) -> None:
    """Every pair of revisions well over the threshold is found; none well under it falls."""
    docs, rows = load(data / "neardup" / "tldr_revisions.jsonl.zst")
    known = {row["id"] for row in rows}
    found, removed = pairs_and_removals(Minhash(), docs, 2000, 700, 3)
    pairs = set(zip(found.column("id").to_pylist(), found.column("survivor_id").to_pylist(), strict=True))
    gone = set(removed.column("id").to_pylist())
    above = below = 0
    for line in lines(data / "neardup" / "labelled_pairs.tsv.zst")[1:]:
        if not line:
            continue
        _, a, b, _, label = line.split("\t")
        if a not in known or b not in known:
            continue
        if float(label) >= 0.83:
            above += 1
            assert a in gone or b in gone, (a, b, label)
        elif float(label) < 0.77:
            below += 1
            assert (a, b) not in pairs, (a, b, label)
            assert (b, a) not in pairs, (a, b, label)
    assert above > 300
    assert below > 1000
    assert len(gone) < len(known) / 2


def test_an_exact_join_finds_no_more(data: Path) -> None:
    """All pairs of 3,000 revisions of pages, by intersecting their sets of word 5-grams in plain Python."""
    docs, _ = load(data / "neardup" / "tldr_revisions.jsonl.zst")
    docs = docs.slice(0, 3000)
    ids = docs.column("id").to_pylist()
    folded = [words(text, "fold") for text in docs.text.to_pylist()]
    sets = [{tuple(own[i : i + 5]) for i in range(len(own) - 4)} for own in folded]
    holders: dict[tuple[str, ...], list[int]] = {}
    common: Counter[tuple[int, int]] = Counter()
    for i, own in enumerate(sets):
        for shingle in own:
            before = holders.setdefault(shingle, [])
            common.update((j, i) for j in before)
            before.append(i)
    index = {(i, j): n / (len(sets[i]) + len(sets[j]) - n) for (i, j), n in common.items()}
    alike = {pair for pair, value in index.items() if value >= 0.8}
    found, removed = pairs_and_removals(Minhash(short="keep"), docs, 1000, 300, 3)
    place = {id_: i for i, id_ in enumerate(ids)}
    pairs = zip(found.column("id").to_pylist(), found.column("survivor_id").to_pylist(), strict=True)
    assert {(min(place[a], place[b]), max(place[a], place[b])) for a, b in pairs} <= alike
    gone = {place[id_] for id_ in removed.column("id").to_pylist()}
    assert len(alike) > 300
    assert sum(i in gone or j in gone for i, j in alike) >= 0.99 * len(alike)
    for one, survivor in zip(*(removed.column(n).to_pylist() for n in ("id", "survivor_id")), strict=True):
        assert tuple(sorted((place[one], place[survivor]))) in alike
        assert place[survivor] not in gone


def test_benchmarks_find_themselves_and_not_their_training_set(data: Path, tmp_path: Path) -> None:
    names = ("gsm8k_test", "humaneval", "mbpp", "deepseek_math_sets")
    # All of GSM8K, HumanEval and MBPP, and as much of the largest.
    benchmarks = [load(data / "bench" / f"{name}.jsonl.zst")[0].slice(0, 1500) for name in names]
    fold = BenchmarkGrams()
    summary = fold.finish(fold.combine([fold.map(iter([docs])) for docs in benchmarks]), tmp_path)
    assert summary["benchmarks"]["GSM8K"] == 1319
    stage = Decontaminate().prepare(Context(artefacts={"benchmarks": tmp_path}))
    for docs in benchmarks:
        assert stage.apply(docs).reasons.null_count <= 0.02 * len(docs)
    train, _ = load(data / "math" / "gsm8k_train.jsonl.zst")
    assert stage.apply(train).reasons.null_count == len(train)
