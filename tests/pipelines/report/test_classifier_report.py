"""The figures of a trained classifier on the page: those of figures.json, by threshold and language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from corpusmill.pipelines.inspection.plain_text import percent
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.run.runner import run_recipe

RECIPE = """
name: learned
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: other.jsonl}}
learned_quality: {positives: good.jsonl, negatives: {sources: [web]}, bits: 12, held_out_examples: 0.4,
  at_least: null}
"""


def examples(words: str, seed: int) -> str:
    """Texts of some words among common ones, said to be German and French in turns."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(120):
        text = " ".join(rng.choice([*words.split(), "the", "of", "and"], 12))
        rows.append(json.dumps({"id": f"{seed}-{number}", "text": text, "lang": ("de", "fr")[number % 2]}))
    return "\n".join(rows) + "\n"


def test_figures_are_those_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text(examples("lemma proof ring", 1), "utf-8")
    (tmp_path / "other.jsonl").write_text(examples("buy click proof", 2), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    folder = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    report = gather(folder)
    (one,) = report.classifiers
    (path,) = folder.path.glob("steps/train_quality/*/data/figures.json")
    told = json.loads(path.read_text("utf-8"))
    assert one.step == "train_quality"
    assert one.digest == told["digest"]
    assert one.examples.held_out.positive == told["examples"]["held_out"]["positive"] > 30
    assert sorted(one.languages) == ["de", "fr"]
    assert one.languages["de"].f1 == told["languages"]["de"]["f1"]
    assert [row.threshold for row in one.thresholds] == [0.1, 0.25, 0.5, 0.75, 0.9]
    assert one.thresholds[2].precision == told["at_0.5"]["precision"]
    assert decode(Report, json.loads(json.dumps(encode(report))), "report.json") == report
    html = render_page(report)
    part = html.partition('<h2 id="classifier">')[2].partition("<h2 ")[0]
    assert one.digest in part
    rows = [re.sub(r"<[^>]*>", "|", row) for row in part.splitlines() if row.startswith("<tr>")]
    cells = [[cell for cell in row.split("|") if cell] for row in rows]
    middle = one.thresholds[2]
    assert middle.precision is not None
    assert cells[2][:2] == ["0.5", percent(middle.precision, 1)]
    assert [row[0] for row in cells[-2:]] == ["de", "fr"]
    assert part.count("<circle") == len(one.calibration.bars) > 2
