"""Deduplication and folds go on without what raises or kills their worker."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.story import Story
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.left_out import left_out, read_left_out, without, write_left_out
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.made_records import made_manifest
from tests.warm import Warm

PLUGIN = '''
"""Exact deduplication and the n-grams of benchmarks that raise or die on what they are asked to."""

import os
import signal

import pyarrow as pa

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.exact import Exact
from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.contract.stage import Edit

_emit, _reduce, _map = Exact.emit, Exact.reduce, BenchmarkGrams.map


def _trouble(texts, where):
    for text in texts:
        if text.endswith(f"RAISE-{where}"):
            raise MemoryError
        if text.endswith(f"DIE-{where}"):
            os.kill(os.getpid(), signal.SIGSEGV)


def emit(self, docs, unit, rows):
    _trouble(docs.text.to_pylist(), "emit")
    return _emit(self, docs, unit, rows)


def reduce(self, rows):
    sizes = rows.column("bytes").to_pylist()
    _trouble([{77: "RAISE-reduce", 78: "DIE-reduce"}.get(size, "") for size in sizes], "reduce")
    return _reduce(self, rows)


def map_(self, batches):
    def seen():
        for docs in batches:
            texts = docs.text.to_pylist()
            _trouble(texts, "map")
            ids = [document_id(text, b"") for text in texts]
            rest = {"source": pa.array(["b"] * len(texts)), "meta": pa.array(["{}"] * len(texts))}
            yield docs.with_columns({"id": pa.array(ids), **rest})
    return _map(self, seen())


Exact.emit, Exact.reduce, BenchmarkGrams.map = emit, reduce, map_
BenchmarkGrams.columns = ("text",)  # neither the id nor the source of what it dies of


class Nothing(Edit):
    """A plugin has a stage; this one changes nothing."""

    def edit(self, docs):
        return docs
'''


def test_a_run_goes_on_and_every_document_is_accounted_for(tmp_path: Path, warm: Warm) -> None:
    (tmp_path / "odd.py").write_text(PLUGIN)
    texts = [f"the keeper writes page {n} of the log" for n in range(8)] * 2
    odd = ["RAISE-emit", "DIE-emit", "a" * 77, "b" * 78]
    lines = [json.dumps({"text": text}) for text in [*texts, *odd]]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    items = [f"what does the keeper of the light write on day {n} of the storm in the log" for n in range(5)]
    lines = [json.dumps({"text": text}) for text in [*items, "one RAISE-map", "two DIE-map"]]
    (tmp_path / "bench.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: odd\nplugins: [odd.py]\nengine: {workers: 1}\noutput: out\n"
        "sources:\n  s: {read: {jsonl: a.jsonl}}\ndedup: [exact]\ndecontaminate: {against: bench.jsonl}\n"
    )
    done = warm.call("run", tmp_path / "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["ledger"]["faults"] == []
    held = report["ledger"]["sources"]["s"]
    assert held["documents_read"] == 20
    assert held["documents_removed"] == 8
    assert held["documents_quarantined"] == 4
    assert held["documents_left"] == 8
    rows = [
        row
        for path in tmp_path.glob("out/steps/*/*/data/*removed.arrow")
        for batch in read_batches(path)
        for row in batch.to_pylist()
        if row["kind"] == "quarantined"
    ]
    for row in rows:
        story = encode(explain(RunFolder(tmp_path / "out"), row["id"]))
        fold = row["stage"] == "benchmark_grams"
        outcome = "beside" if fold else "quarantined"
        assert [told["outcome"] for told in story["instances"]] == [outcome]
        assert [event["reason"] for event in story["left_out_of"]] == [row["reason"]] * fold
        assert (
            "left out of benchmark_grams.partials: " in render_story(decode(Story, story, "a story"))
        ) is fold
    assert {(row["stage"], row["reason"], row["excerpt"]) for row in rows} == {
        ("exact", "MemoryError", "RAISE-emit"),
        ("exact", "crash", "DIE-emit"),
        ("exact", "MemoryError", "a" * 77),
        ("exact", "crash", "b" * 78),
        ("benchmark_grams", "MemoryError", "one RAISE-map"),
        ("benchmark_grams", "crash", "two DIE-map"),
    }


def test_what_is_left_out_is_read_once_and_has_no_part_in_pairs(tmp_path: Path) -> None:
    step = StepFolder(tmp_path)
    units = []
    for number, rows in enumerate(([3, 1], [1], [])):
        attempt = step.attempt(number, 1)
        unit = np.full(len(rows), 5, np.uint32)
        write_left_out(attempt, [left_out(unit, np.array(rows, np.uint32), [f"c{number}"] * len(rows))])
        units.append(attempt.commit(UnitResult(0)))
    assert [len(unit.files) for unit in units] == [1, 1, 0]
    step.write_manifest(made_manifest(units))
    gone = read_left_out(step)
    assert gone.to_pylist() == [{"unit": 5, "row": 1, "cause": "c0"}, {"unit": 5, "row": 3, "cause": "c0"}]
    zero = dict.fromkeys(DUPLICATES.names, 0)
    words = dict.fromkeys(("id", "source", "reason", "survivor_id", "survivor_source"), "")
    pairs = [
        {**zero, **words, "unit": unit, "row": row, "survivor_unit": 5, "survivor_row": survivor}
        for unit, row, survivor in ((5, 3, 0), (5, 2, 0), (4, 3, 2), (5, 2, 1))
    ]
    kept = without(pa.Table.from_pylist(pairs, schema=DUPLICATES), gone)
    assert [(row["unit"], row["row"]) for row in kept.to_pylist()] == [(5, 2), (4, 3)]
    spans = [
        {"unit": 5, "row": row, "start": 0, "end": 1, "reason": "r", **survivor}
        for row in (2, 3)
        for survivor in ({}, {"survivor_unit": 5, "survivor_row": 0}, {"survivor_unit": 5, "survivor_row": 1})
    ]
    left = without(pa.Table.from_pylist(spans, schema=EDITS), gone)
    assert [(row["row"], row["survivor_row"]) for row in left.to_pylist()] == [(2, None), (2, 0)]
