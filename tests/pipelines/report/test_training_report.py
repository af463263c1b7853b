"""The training section with all it can show: held-out bits, loads of layers, specialisation."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.recipe.registry import room_command
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.records.training_files import PipelineUsed, Routing
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.findings import training_findings
from corpusmill.pipelines.report.heat_map import heat_map
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.report.training import specialisation
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection import made_run as made

HOSTILE = "<script>web"
WITHOUT = (0, 4)


def scores(bits: float) -> Json:
    one = {"documents": 2, "bytes": 100, "tokens": 30, "bits_per_byte": bits, "nats_per_token": 3.0}
    return {"*": one, HOSTILE: one}


@pytest.fixture(scope="module")
def figures(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = RunFolder(shutil.copytree(run.path, tmp_path_factory.mktemp("judged") / "run"))
    made.add_training(folder)
    step = folder.current_step("train")
    assert step is not None
    lines = [json.loads(line) for line in (step.data / "metrics.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        loads = {"max_violation": [1.0, 0.5], "mean_violation": [0.5, 0.25], "entropy": [0.9, 0.99]}
        line |= {"experts": loads, "learning_rate": 0.001 * number}
        if number in WITHOUT:  # a step without a target
            line |= {"loss": None, "mtp_loss": None, "max_expert_violation": None}
            line["experts"] = {name: [None, None] for name in loads}
        if number in (9, 29):
            line["held_out"] = {"*": 4.0 - number / 10, HOSTILE: 4.0 - number / 10}
    (step.data / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    positions = [{"from": k, "to": k, "tokens": 9, "nats_per_token": 5.0 / k} for k in (1, 2)]
    fault = {"shard": "shard-00000.arrow", "kind": "repeated rows", "detail": "9 of 10 rows"}
    evaluation = {
        "context": 2,
        "held_out": {"documents": 2, "tokens": 30, "shards": 1},
        "baselines": {"tokens": 99, "pairs": 9},
        "falls": {HOSTILE: [5.0, None]},
        "require": None,
        "scores": {"model": scores(1.125), "bigram": scores(1.0), "unigram": scores(2.5)},
        "by_position": positions,
        "faults": [fault],
    }
    (step.data / "evaluation.json").write_text(json.dumps(evaluation))
    routing = {
        "steps": [28, 30],
        "layers": ["layers.1", "mtp.0"],
        "sources": [HOSTILE, "code", "none"],
        "counts": [[[10, 0], [0, 20], [0, 0]], [[5, 5], [10, 10], [0, 0]]],
    }
    (step.data / "routing.json").write_text(json.dumps(routing))
    made.commit_again(step)
    return gather(folder)


def test_figures_are_gathered(figures: Report) -> None:
    training = figures.training
    assert training is not None
    assert training.held_out.step == (10, 30)
    entropy = tuple(None if number in WITHOUT else 0.99 for number in range(30))
    assert training.experts.entropy[1] == entropy
    losses = training.curves.loss
    assert [number for number, loss in enumerate(losses) if loss is None] == [*WITHOUT]
    assert min(loss for loss in losses if loss is not None) > 0
    assert training.curves.learning_rate[-1] == pytest.approx(0.029)
    assert training.routing.sources == (HOSTILE, "code")
    assert training.routing.over_even[0] == ((2.0, 0.0), (0.0, 2.0))
    assert training.routing.information == pytest.approx([1.0, 0.0])


def test_the_page_shows_them_and_nothing_runs(figures: Report) -> None:
    html = render_page(figures)
    for shown in ("1.125", "2.500", "bigram, all sources = 1.00", "experts of layers.1 by source", "mtp.0"):
        assert shown in html
    assert html.count("<script") == 1
    assert "training loss by source and step" in html
    assert "Load: entropy over that of an even one" in html


def test_the_schedule_of_a_pipeline_is_drawn(figures: Report) -> None:
    training = figures.training
    assert training is not None
    assert "<h3>Pipeline</h3>" not in render_page(figures)
    summary = replace(training.summary, pipeline=PipelineUsed("1f1b", 2, 6))
    html = render_page(replace(figures, training=replace(training, summary=summary)))
    # A step takes 3 (6 + 1), of which a rank works 3 x 6.
    for shown in ("lay on 2 ranks", "a rank waits 14% of a step", 'aria-label="1f1b, 2 ranks, 6 chunks"'):
        assert shown in html
    for wrong in (PipelineUsed("none", 2, 6), PipelineUsed("dualpipe", 2, 1)):
        with pytest.raises(DataError, match="there is no pipeline"):
            room_command("training_hooks", "pipeline_picture")(wrong)


def test_findings_name_faults_and_bars_not_beaten(figures: Report) -> None:
    said = [finding.text for finding in figures.findings]
    assert "shard-00000.arrow: repeated rows: 9 of 10 rows" in said
    assert any("does not beat the bigram" in text for text in said)
    assert not any("does not beat the unigram" in text for text in said)
    assert any("was held out; raise `held_out`" in text for text in said)


def test_steps_without_a_target_are_told(figures: Report) -> None:
    training = figures.training
    assert training is not None
    summary = replace(training.summary, steps_without_targets=2)
    said = findings_of(replace(figures, training=replace(training, summary=summary)))
    assert any(text.startswith("2 of 30 steps had no target") for text in said)
    nothing = replace(summary, first_loss=None, last_loss=None)
    changed = replace(figures, training=replace(training, summary=nothing))
    assert not any("unigram entropy" in text for text in findings_of(changed))
    assert "No step had a target" in render_page(changed)


def findings_of(figures: Report) -> list[str]:
    assert figures.training is not None
    return [finding.text for finding in training_findings(figures.training, figures.packing)]


def test_an_expert_or_a_source_without_tokens_has_no_ratio() -> None:
    counts = (((4, 0, 0), (2, 2, 0)), ((0, 0, 0), (1, 1, 2)))
    found = specialisation(Routing((1, 2), ("a", "b"), ("x", "y"), counts))
    assert [ratios[2] for ratios in found.over_even[0]] == [None, None]
    assert found.over_even[1] == ((None, None, None), (1.0, 1.0, 1.0))


def test_a_heat_map_is_pale_at_one() -> None:
    drawn = heat_map([[1.0, 4.0, 0.25, 0.0, None]], ["a"], ["0", "1", "2", "3", "4"], "label")
    assert drawn.count("<rect") == 4
    assert drawn.count('fill-opacity="1.00"') == 3
    assert drawn.count('fill-opacity="0.06"') == 1
