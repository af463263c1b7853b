"""Distributions of scores: all that came to a filter, removed or not, with its limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.thresholds import Line
from corpusmill.pipelines.inspection.blocks import bar, columns, stacked
from corpusmill.pipelines.inspection.inspect import inspect_scores
from corpusmill.pipelines.inspection.plain_text import reason
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.score_histograms import (
    ScoreDistribution,
    _constant,
    _edges,
    _groups,
    score_distributions,
)
from corpusmill.pipelines.inspection.score_rendering import render_scores
from corpusmill.pipelines.storage.run_folder import RunFolder


def test_every_document_that_came_to_a_filter_counts(run: RunFolder) -> None:
    record = load_record(run)
    found = {(one.source, one.step, one.score): one for one in score_distributions(record)}
    words = found["web", "web", "words"]
    entry = next(e for e in record.steps["web"].ledger if e.stage == "enough_words" and e.source == "web")
    group = words.groups[0]
    quarantined = sum(documents for documents, _ in entry.quarantined.values())
    assert group.documents == entry.documents_in - quarantined
    assert (
        sum(bar.removed for bar in group.bars)
        == sum(documents for documents, _ in entry.removed.values())
        == 2
    )
    assert sum(bar.passed for bar in group.bars) == entry.documents_kept
    overlap = found["code", "decontaminate", "overlap"].groups[0]
    assert sum(bar.removed for bar in overlap.bars) == 1  # what a mask removed


def test_one_step_alone_and_the_terminal(run: RunFolder) -> None:
    step = run.current_step("web")
    assert step is not None
    for path in (step.path, step.path.parent):
        found = inspect_scores(path)
        assert {one.step for one in found.scores} == {"web"}
    text = render_inspection(inspect_scores(run.path))
    assert "web: enough_words" in text
    assert "code: decontaminate" in text
    assert "█" in text


def test_what_has_no_scores_is_told(run: RunFolder, copy_of: Callable[[], RunFolder]) -> None:
    with pytest.raises(UserError, match="needs a run folder"):
        inspect_scores(run.path.parent.parent)
    with pytest.raises(UserError, match="no complete step"):
        inspect_scores(run.path / "steps" / "nothing")
    assert render_inspection(inspect_scores(run.path / "steps" / "web.index")).startswith("no scores")


def test_a_limit_is_an_edge_and_tails_stand_in_the_last_bars() -> None:
    draw = np.random.Generator(np.random.Philox(1))
    values = np.concatenate([draw.uniform(0, 1, 5000), [50.0, np.nan]])
    line = Line("x", "under", "least", 0.2503, "little")
    edges, scale = _edges(values, [line])
    assert scale == "linear"
    assert 0.2503 in edges
    here = values < 0.2503
    languages = pa.array(["en"] * 4000 + ["de"] * 1002)
    group, english, german = _groups(values, here, languages, edges, [line])
    assert (english.documents, german.documents, group.without) == (4000, 1002, 1)
    under = [bar for bar in group.bars if bar.to <= 0.2503]
    assert sum(bar.passed for bar in under) == 0
    assert sum(bar.removed for bar in under) == int(here.sum())
    assert sum(bar.passed + bar.removed for bar in group.bars) == 5001
    assert [one.value for one in english.lines] == [0.2503]


def test_limits_of_a_language_stand_in_its_own_chart() -> None:
    lines = [Line("x", "under", "least", 3, "little"), Line("x", "under", "l.zh.least", 5, "little", "zh")]
    values = np.arange(1.0, 11.0)
    edges, _ = _edges(values, lines)
    languages = pa.array(["zh"] * 4 + ["en"] * 6)
    shown = {group.language: group for group in _groups(values, values < 3, languages, edges, lines)}
    assert [line.value for line in shown[None].lines] == [3]
    assert [line.value for line in shown["zh"].lines] == [5]
    assert [line.value for line in shown["en"].lines] == [3]


def test_long_tails_are_drawn_on_a_growing_scale() -> None:
    draw = np.random.Generator(np.random.Philox(2))
    edges, scale = _edges(np.exp(draw.normal(6, 2, 5000)), [Line("x", "under", "least", 50, "little")])
    assert scale == "logarithmic"
    assert 50 in edges
    flat, _ = _edges(np.array([np.nan]), [])
    assert len(flat) > 1
    one, _ = _edges(np.array([3.0, 3.0]), [])
    assert one[0] < 3 < one[-1]


def test_what_is_the_same_in_all_documents_is_a_line() -> None:
    def one(score: str, values: list[float]) -> ScoreDistribution:
        found = np.array(values)
        lines = [Line(score, "under", "least", 3, "little")]
        edges, scale = _edges(found, lines)
        groups = tuple(_groups(found, found < 3, pa.array(["en"] * len(found)), edges, lines))
        return ScoreDistribution("web", "web", "f", score, 1, 1, scale, True, groups, _constant(found))

    shown = render_scores([one("a", [2.0, np.nan, 2.0]), one("b", [4.0, 4.0]), one("c", [4.0, 5.0])])
    assert shown.splitlines()[:6] == [
        "web: f",
        "",
        "  a: 2 in all 2 documents, 1 without, 66.7% removed here",
        f"    │ least 3: under it {reason('little')}",
        "  b: 4 in all 2 documents",
        f"    │ least 3: under it {reason('little')}",
    ]
    assert "█" in shown.split("  c: ")[1]
    assert "█" not in shown.split("  c: ")[0]


def test_blocks() -> None:
    assert columns([0, 1, 8, 4, 0.01], 8) == " ▁█▄▁"
    assert bar(0.5, 4) == "██"
    assert bar(0.53, 4) == "██▏"
    assert stacked([0.5, 0.25, 0.25], 8) == "████▒▒░░"
    assert stacked([0.5], 4) == "██  "
