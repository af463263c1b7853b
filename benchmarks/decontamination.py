"""Decontamination: planted leaks found by kind, clean documents removed, and speed.

    python benchmarks/decontamination.py [--quick] [--json] [--data DIR] [--misses]

Benchmarks and corpora are those of the data folder. Recall: the share of planted documents (`planted_leaks`)
that are removed; `named` is the share of these whose report names the item planted, `told as` the share of
each kind of match. The same leaks are cut (`action: cut`). Clean documents are all of the corpora; each that
is removed is told on stderr with the item it is removed for. Speed: CPU time of the process, best of three
(one with `--quick`), index loaded and kernels compiled. Without the data folder there are no figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from harness import Bench, arguments, bounded, load
from planted_leaks import Item, Planted, items_of, planted

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.decontaminate import Decontaminate
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.stage import Context

BENCHMARKS = ("gsm8k_test", "humaneval", "mbpp", "deepseek_math_sets")
PROSE = ("text/wikitext2_valid_test", "text/cc_c4_redpajama_samples", "text/ruanyf_weekly_zh")
CODE = ("code/code_packages",)
OTHERS = (
    "text/tldr_pages_multilang",
    "neardup/tldr_revisions",
    "math/gsm8k_train",
    "math/latex_books",
    "web/planetmath11_math_pages.index",
)
SPEED = (*PROSE, *CODE, "math/gsm8k_train")


def documents(rows: list[dict[str, Any]]) -> Documents:
    """Rows as a reader of JSON lines gives them."""
    columns: dict[str, Any] = {name: [None] * len(rows) for name in SCHEMA.names}
    columns["id"] = [str(row["id"]) for row in rows]
    columns["text"] = [row["text"] or "" for row in rows]
    columns["source"] = [str(row.get("source") or "") for row in rows]
    columns["domain"] = ["web"] * len(rows)
    columns["meta"] = [
        json.dumps({**(row.get("meta") or {}), "id": str(row["id"]), "source": row.get("source")})
        for row in rows
    ]
    return Documents(pa.table(columns, SCHEMA))


def prepared(data: Path, most: int | None, folder: Path, bench: Bench) -> tuple[Decontaminate, list[Item]]:
    """The stage with the index of all benchmarks, and their items."""
    fold, rows = BenchmarkGrams(), [load(data / "bench" / f"{name}.jsonl.zst", most) for name in BENCHMARKS]
    start = time.process_time()
    fold.finish(fold.combine([fold.map(iter([documents(some)])) for some in rows]), folder)
    items = [item for some in rows for item in items_of(some)]
    bench.add("index: CPU seconds", "corpusmill", time.process_time() - start, f"s for {len(items):,} items")
    size = sum(path.stat().st_size for path in folder.iterdir())
    bench.add("index: size", "corpusmill", size / 1e6, "MB")
    stage = Decontaminate().prepare(Context(artefacts={"benchmarks": folder}))
    stage.warm()
    return stage, items


def verdicts(stage: Decontaminate, docs: Documents) -> list[dict[str, Any]]:
    """Scores of each document, and its `reason`."""
    outcome = stage.apply(docs)
    names = [name for name in outcome.documents.table.column_names if name.startswith("decontaminate.")]
    rows = outcome.documents.table.select(names).rename_columns([n.split(".")[1] for n in names]).to_pylist()
    reasons = outcome.reasons.to_pylist()
    return [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True)]


def recall(stage: Decontaminate, leaks: list[Planted], bench: Bench, show: bool) -> None:
    rows = [{"id": str(n), "text": leak.text} for n, leak in enumerate(leaks)]
    found = verdicts(stage, documents(rows))
    by_kind: dict[str, list[tuple[Planted, dict[str, Any]]]] = {}
    for leak, verdict in zip(leaks, found, strict=True):
        by_kind.setdefault(leak.kind, []).append((leak, verdict))
    for kind, pairs in by_kind.items():
        removed = sum(verdict["reason"] is not None for _, verdict in pairs)
        bench.add(f"planted: {kind}", "corpusmill", removed / len(pairs), f"of {len(pairs)}")
        named = sum(
            verdict["reason"] is not None and verdict.get("item") == leak.item.id for leak, verdict in pairs
        )
        bench.add(f"named: {kind}", "corpusmill", named / max(removed, 1), f"of {removed}")
        matches = Counter(str(verdict.get("match")) for _, verdict in pairs if verdict["reason"])
        for match, count in matches.most_common():
            bench.add(f"told as {match}: {kind}", "corpusmill", count / removed, f"of {removed}")
        for leak, verdict in pairs if show else ():
            if verdict["reason"] is None:
                sys.stderr.write(f"MISSED {kind} {leak.item.id} {verdict} {leak.item.question[:300]!r}\n")


def cutting(stage: Decontaminate, leaks: list[Planted], bench: Bench) -> None:
    """The leaks that are found, cut by lines: the share of documents kept, of their bytes left, and of those
    in which something is found again."""
    by_kind: dict[str, list[Planted]] = {}
    for leak in leaks:
        by_kind.setdefault(leak.kind, []).append(leak)
    cutter = stage.model_copy(update={"action": "cut", "cut_to": "line"})
    for kind, some in by_kind.items():
        texts = [leak.text for leak in some]
        found = verdicts(cutter, documents([{"id": str(n), "text": text} for n, text in enumerate(texts)]))
        left, came = [], 0
        for text, verdict in zip(texts, found, strict=True):
            if verdict["outcome"] != "cut":
                continue
            raw, rest, at = text.encode(), [], 0
            for span in verdict["spans"]:
                rest.append(raw[at : span["start"]])
                at = span["end"]
            left.append(b"".join([*rest, raw[at:]]).decode())
            came += len(raw)
        holds = sum(verdict["outcome"] is not None for verdict in found)
        bench.add(f"kept, cut: {kind}", "corpusmill", len(left) / max(holds, 1), f"of {holds} found")
        bytes_left = sum(len(text.encode()) for text in left)
        bench.add(f"bytes left, cut: {kind}", "corpusmill", bytes_left / max(came, 1), "of those that came")
        again = verdicts(stage, documents([{"id": str(n), "text": text} for n, text in enumerate(left)]))
        over = sum(verdict["reason"] is not None for verdict in again)
        bench.add(f"found again, cut: {kind}", "corpusmill", over, f"of {len(left)}")


def clean(stage: Decontaminate, data: Path, most: int | None, bench: Bench) -> None:
    total = removed = 0
    for name in (*PROSE, *CODE, *OTHERS):
        docs = documents(load(data / f"{name}.jsonl.zst", most))
        total += len(docs)
        found = verdicts(stage, docs)
        for at, verdict in enumerate(found):
            if verdict["reason"] is None:
                continue
            identity, text = docs.column("id")[at].as_py(), docs.text[at].as_py()
            removed += 1
            sys.stderr.write(f"REMOVED: {name} {identity} {verdict} {text[:200]!r}\n")
    bench.add("clean documents removed", "corpusmill", removed, f"of {total:,}")


def speed(stage: Decontaminate, data: Path, most: int | None, repeats: int, bench: Bench) -> None:
    for name in SPEED:
        docs = documents(load(data / f"{name}.jsonl.zst", most))
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            stage.apply(docs)
            best = min(best, time.process_time() - start)
        bench.add(f"speed: {name}", "corpusmill", int(docs.sizes().sum()) / 1e6 / best, "MB/s a core")


def texts(data: Path, names: tuple[str, ...], most: int) -> list[str]:
    """Texts of some documents of these corpora, in an order that follows from `names`."""
    found = [row["text"] for name in names for row in load(data / f"{name}.jsonl.zst")]
    random.Random(",".join(names)).shuffle(found)
    return found[:most]


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--misses", action="store_true", help="tell each leak that is not found")

    options = arguments(__doc__, more)
    bench = Bench("decontamination")
    if not (options.data / "bench").is_dir():
        bench.leave_out("decontamination", "corpusmill", f"left out: no benchmarks in {options.data}")
        bench.print(options.json)
        return
    most, each, repeats = (100, 40, 1) if options.quick else (None, 400, 3)
    with tempfile.TemporaryDirectory() as folder:
        stage, items = prepared(options.data, None if not options.quick else 300, Path(folder), bench)
        leaks = planted(items, texts(options.data, PROSE, 400), texts(options.data, CODE, 400), each)
        recall(stage, leaks, bench, options.misses)
        cutting(stage, leaks, bench)
        clean(stage, options.data, most, bench)
        speed(stage, options.data, most, repeats, bench)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
