"""`mixture runs`: models trained on drawn mixtures, a table that grows, and the fit that reads it."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path

import pytest

from tests.warm import Warm

RECIPE = """\
name: proxies
seed: 5
data: .
engine: {kind: process, workers: 1}
sources:
  letters: {read: {jsonl: letters.jsonl}, steps: []}
  digits: {read: {jsonl: digits.jsonl}, steps: []}
tokenizer: {train: {vocab_size: 300}}
mixture: {tokens: 4096}
pack: {sequence_length: 64, held_out: 0.2}
train: {steps: 2, batch_size: 2, context: 16, threads: 1, mtp_depth: 0}
"""
WORDS = "stone river cloud light seven quiet amber field north glass"
NUMBERS = "17 203 9 4411 58 6 7070 312 99 1024"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    draw = random.Random(3)
    for name, words in {"letters": WORDS, "digits": NUMBERS}.items():
        texts = [" ".join(draw.choices(words.split(), k=60)) for _ in range(60)]
        lines = [json.dumps({"id": f"{name}{i}", "text": text}) for i, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_are_trained_once_and_fitted(training: Warm, recipe: Path, tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    done = training.call("mixture", "runs", recipe, "--table", table, "--count", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done_now"] == 2
    first = _rows(table)
    assert set(first[0]) == {"run", "weight.digits", "weight.letters", "loss.digits", "loss.letters"}
    assert float(first[0]["weight.digits"]) + float(first[0]["weight.letters"]) == pytest.approx(1.0)
    available = (tmp_path / "runs.csv.sources.yaml").read_text()
    assert "tokens: 4096" in available

    more = training.call("mixture", "runs", recipe, "--table", table, "--count", 4, "--json")
    assert more.returncode == 0, more.stderr
    assert json.loads(more.stdout)["done_now"] == 2
    rows = _rows(table)
    assert rows[:2] == first
    assert len({row["weight.digits"] for row in rows}) == 4

    fitted = training.call("mixture", "fit", table, "--json")
    assert fitted.returncode == 0, fitted.stderr
    shares = json.loads(fitted.stdout)["shares"]
    assert sum(share["weight"] for share in shares.values()) == pytest.approx(1.0)
    assert all(share["weight"] <= share["most"] + 1e-9 for share in shares.values())
    assert "4 runs are few for 2 shares; 9 tell more" in fitted.stderr

    # The losses of a mixture are those of a run of the recipe with these weights.
    asked = {name.removeprefix("weight."): float(rows[3][name]) for name in rows[3] if "weight" in name}
    alone = tmp_path / "alone"
    ran = training.call(
        "run", recipe, "--set", f"mixture.weights={json.dumps(asked)}", "--set", "mixture.normalize=true",
        "--out", alone,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (evaluation,) = alone.glob("steps/train/*/data/evaluation.json")
    scores = json.loads(evaluation.read_bytes())["scores"]["model"]
    assert scores["digits"]["bits_per_byte"] == float(rows[3]["loss.digits"])

    other = training.call("mixture", "runs", recipe, "--table", table, "--count", 4, "--seed", 1)
    assert other.returncode == 1
    assert "is of another mixture (another seed?); name a new file" in other.stderr

    fewer = training.call("mixture", "runs", recipe, "--table", table, "--count", 3, "--json")
    assert (fewer.returncode, json.loads(fewer.stdout)["done_now"]) == (0, 0)
    assert "has 1 runs beyond these 3, from run 3: they stay in the table" in fewer.stderr
    assert _rows(table) == rows
    strange = table.read_text().replace("\n3,", "\n3b,")
    (tmp_path / "strange.csv").write_text(strange)
    refused = training.call("mixture", "runs", recipe, "--table", tmp_path / "strange.csv", "--count", 4)
    assert refused.returncode == 1
    assert "run 3b is none of this command's" in refused.stderr
    kept = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]
    (tmp_path / "other.csv").write_text("\n".join(kept[:-1]) + "\n")
    refused = training.call("mixture", "runs", recipe, "--table", tmp_path / "other.csv", "--count", 4)
    assert refused.returncode == 1
    assert "have losses of other sources (letters)" in refused.stderr


def test_a_recipe_that_cannot_tell_is_refused(training: Warm, recipe: Path, tmp_path: Path) -> None:
    for words, cure in {
        "mixture.tokens=null": "add `mixture: {tokens: 4M}`",
        "train=null": "add `train: {preset: v3-tiny, steps: 200}`",
        "mixture.temperature=2": "leave it out: --set mixture.temperature=null",
        "mixture.phases=[{name: a}]": "leave it out: --set mixture.phases=null",
        "pack.held_out=0": "add `pack: {held_out: 0.02}`",
    }.items():
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        done = training.call("mixture", "runs", recipe, "--table", tmp_path / "t.csv", "--set", words)
        assert done.returncode == 1
        assert cure in done.stderr
        assert not (tmp_path / "t.csv").exists()
