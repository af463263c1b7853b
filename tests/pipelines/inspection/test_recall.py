"""Recall on a sample: of the documents that the step saw, the pairs there are and those that it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection import recall
from corpusmill.pipelines.inspection.inspect import inspect, inspect_recall
from corpusmill.pipelines.inspection.recall import recall_of
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.report.build import build_report
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.dedup.test_minhash import near_duplicates
from tests.oracles.dedup_exchange import documents

RECIPE = """
name: sampled
output: run
engine: {kind: inline}
sources:
  a: {read: {jsonl: {files: "*.jsonl", split_bytes: 64KiB}}}
dedup: [exact, {minhash: {threshold: 0.6, bands: 10, rows: 4}}]
"""
TEXTS = near_duplicates(7, 60, 6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Families of near-duplicates in three files, of which bands miss some pairs."""
    folder = tmp_path_factory.mktemp("recall")
    for file in range(3):
        rows = [{"id": str(n), "text": text} for n, text in enumerate(TEXTS) if n % 3 == file]
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE)
    return run_recipe(load_recipe(folder / "r.yaml")).folder


def step(run: RunFolder, name: str = "minhash") -> Path:
    return run.path / "steps" / f"dedup.{name}"


def test_figures_are_those_of_all_pairs_of_what_the_step_saw(run: RunFolder) -> None:
    found = inspect_recall(step(run)).recall
    assert found is not None
    distinct = sorted(set(TEXTS))  # `exact` left one of each
    assert found.documents == found.of_documents == len(distinct)
    stage = Minhash(threshold=0.6, bands=10, rows=4)
    pairs = stage.pairs_among(documents(distinct))
    assert sum(one.pairs for one in found.bins) == len(pairs.first)
    assert sum(one.found for one in found.bins) == pairs.found.sum()
    assert sum(one.expected for one in found.bins) == pytest.approx(pairs.chance.sum(), abs=0.01)
    assert (found.duplicates, found.duplicates_found) == (
        pairs.duplicate.sum(),
        (pairs.duplicate & pairs.found).sum(),
    )
    missed = found.duplicates - found.duplicates_found
    assert 0 < found.both_kept <= missed, "both are kept of some pairs that were missed, and of no other"
    for one in found.bins:
        assert one.to - one.from_ == pytest.approx(0.05)
        assert one.found <= one.pairs
    shown = render_inspection(inspect_recall(step(run)))
    assert f"recall of all pairs of {len(distinct)} of {len(distinct)} documents" in shown
    assert f"of {found.both_kept} the run kept both documents" in shown


def test_a_smaller_sample_is_the_same_each_time(run: RunFolder) -> None:
    record = load_record(run)
    mask = record.steps["dedup.minhash"]
    found = recall_of(record, mask, sample=100)
    assert found is not None
    assert 50 < found.documents < 150 < found.of_documents
    assert recall_of(load_record(run), mask, sample=100) == found


def test_none_of_a_stage_that_misses_nothing(run: RunFolder) -> None:
    record = load_record(run)
    assert recall_of(record, record.steps["dedup.exact"]) is None
    with pytest.raises(UserError, match="the stage exact has no curve"):
        inspect_recall(step(run, "exact"))
    for other in (run.path, run.path / "steps" / "a", run.path / "steps" / "dedup.minhash.scatter"):
        with pytest.raises(UserError, match="no complete step that removes duplicates"):
            inspect_recall(other)
    with pytest.raises(UserError, match="give a run folder"):
        inspect_recall(run.path / "steps" / "nothing")
    assert "recall of all pairs" not in render_inspection(inspect(step(run)))


def test_why_it_is_not_measured(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    record = load_record(run)
    monkeypatch.setattr(recall, "stage_class", lambda name: None)
    found = recall_of(record, record.steps["dedup.minhash"])
    assert found is not None
    assert found.note is not None
    assert "a plugin of the run's recipe has it" in found.note


def test_the_report_shows_it(run: RunFolder) -> None:
    written = build_report(run)
    (one,) = written.report.recall
    assert one.step == "dedup.minhash"
    page = written.page.read_text("utf-8")
    assert "recall of dedup.minhash" in page
    assert f"{one.duplicates:,} of them are duplicates by the stage's measure" in page
    assert page.count('class="point"') == len(one.bins)
