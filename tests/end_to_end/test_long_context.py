"""Long-context phases from a recipe: killed within one, gone on with, and used."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.warm import Warm

RECIPE = """\
name: long
seed: 5
engine: {kind: process, workers: 1}
sources:
  a: {read: {jsonl: a.jsonl}, steps: []}
tokenizer: {train: {vocab_size: 300}}
pack: {sequence_length: 32, held_out: 0.1}
train: {steps: 2, batch_size: 2, threads: 1, checkpoint: {every: 2}}
long_context:
  steps: 4
  needles: {kind: tokens, trials: 1, depths: [0.5], lengths: [32]}
  phases:
    - {sequence_length: 64}
    - {sequence_length: 128, steps: 2}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    draw = random.Random(3)
    words = ["stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass"]
    lines = [json.dumps({"id": f"{k}", "text": " ".join(draw.choices(words, k=60))}) for k in range(40)]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def hashes(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "steps").rglob("*"))
        if path.is_file()
    }


def test_killed_within_a_phase_it_ends_the_same(recipe: Path, training: Warm, tmp_path: Path) -> None:
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    done = training.call("run", recipe, "--out", calm)
    assert done.returncode == 0, done.stderr
    assert "context   64 tokens after 4 more steps (YaRN factor 4)" in done.stdout
    assert "context   128 tokens after 2 more steps (YaRN factor 4)" in done.stdout
    shutil.copytree(calm, disturbed, ignore=shutil.ignore_patterns("long_context*", "*.log"))
    # Kills in the third step of a process: of the first phase, after its checkpoint.
    killed = training.call(
        "run", recipe, "--out", disturbed, env={"CORPUSMILL_FAULTPOINT": "training-step:3"}
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(disturbed.glob("steps/long_context.0/*/scratch/00000/checkpoints/step-*"))
    assert not list(disturbed.glob("steps/long_context.0/*/manifest.json"))
    again = training.call("run", recipe, "--out", disturbed, "--json")
    assert again.returncode == 0, again.stderr
    assert hashes(calm) == hashes(disturbed)
    summary = json.loads(again.stdout)
    assert [phase["context"] for phase in summary["long_context"]] == [64, 128]
    names = [Path(file).name for file in summary["shards"]["files"]]
    assert names == ["shard-00000.arrow"]
    assert [Path(file).name for file in summary["shards"]["held_out"]["files"]] == ["heldout-00000.arrow"]
    assert summary["shards"]["held_out"]["documents"] > 0
    assert "train" in {step["name"] for step in summary["steps"] if step["reused"]}
    _used(calm, training, tmp_path)


def _used(run: Path, training: Warm, tmp_path: Path) -> None:
    """The last phase's model is the run's: it generates, and goes out as a folder with YaRN in it."""
    exported = tmp_path / "exported"
    for arguments in (
        ("generate", run, "--prompt", "stone river", "--max-tokens", 3, "--json"),
        ("export", run, exported, "--to", "deepseek_v3"),
        ("doctor", run),
    ):
        done = training.call(*arguments)
        assert done.returncode == 0, done.stderr
        if arguments[0] == "generate":
            assert "long_context.1" in json.loads(done.stdout)["model"]
    assert json.loads((exported / "config.json").read_text())["rope_scaling"]["factor"] == 4.0
    page = (run / "report" / "report.html").read_text()
    assert page.count("Held-out loss by position") == 2
    assert json.loads((run / "report" / "report.json").read_text())["long_context"][1]["context"] == [32, 128]
