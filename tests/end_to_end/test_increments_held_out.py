"""Encoding is taken over beside families that are held out, unless a document's own mark changes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators import read
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from tests.pipelines.run.test_increments import current_files, redone

RECIPE = """\
name: grown
seed: 3
engine: {{kind: inline}}
sources:
  a: {{read: {{jsonl: {{files: in/*.jsonl, split_bytes: 65536}}}}}}
tokenizer: {tokenizer}
pack: {{sequence_length: 64, held_out: 0.2, fim: {{rate: 0.5}}}}
output: run
"""
STEPS = ("encode", "held_out.index.partials")


def write_file(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh", k=5)) for _ in range(60)]
    lines = [
        json.dumps({"id": f"{seed}-{number}", "text": " ".join(draw.choices(words, k=90))})
        for number in range(8)
    ]
    path.write_text("\n".join(lines) + "\n")


def run(folder: Path, out: str, until: list[str] | None = None) -> RunResult:
    return run_recipe(load_recipe(folder / "recipe.yaml", [f"output={folder / out}"]), until=until)


def test_encoding_takes_over_units_whose_documents_keep_their_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 2)
    (tmp_path / "in").mkdir()
    for number in range(10, 34):
        write_file(tmp_path / "in" / f"{number}.jsonl", number)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(tokenizer="{train: {vocab_size: 300}}"))
    trained = run(tmp_path, "first", until=["tokenizer"])
    folder = next(state.folder for state in trained.steps if state.step.name == "tokenizer")
    assert folder is not None
    (tmp_path / "tokenizer.json").write_bytes(folder.file("tokenizer.json").read_bytes())
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(tokenizer="{load: tokenizer.json}"))
    before = run(tmp_path, "run")
    write_file(tmp_path / "in" / "20a.jsonl", 100)
    again = run(tmp_path, "run")
    assert again.manifest("held_out.families").content != before.manifest("held_out.families").content
    for step in STEPS:
        done, adopted, total = redone(again, step)
        assert done + adopted == total > 8
        assert adopted >= total // 2, step
    run(tmp_path, "fresh")
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(tokenizer="{train: {vocab_size: 300}}"))
    sampled, whole = (run(tmp_path, out, until=["tokenizer_sample"]) for out in ("first", "fresh"))
    done, adopted, total = redone(sampled, "tokenizer_sample.partials")
    assert adopted >= total // 2
    for step in ("tokenizer_sample.partials", "tokenizer_sample"):
        assert sampled.manifest(step).content == whole.manifest(step).content
