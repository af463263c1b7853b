"""Files that change before a mixture is drawn: units of which the same is drawn are taken over."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpusmill.pipelines.run.operators import layout, read
from tests.pipelines.run.test_increments import CHANGES, WORDS, current_files, redone, run

STEPS = ("held_out", "encode", "mixture.partials", "pack.scatter")


def write_file(path: Path, seed: int) -> None:
    """Documents of which one has the id and text of one in every file, so that draws and ids are tied."""
    draw = random.Random(seed)
    lines = [
        {
            "id": f"{seed}-{number}",
            "text": " ".join(draw.choices(WORDS, k=60)),
            "url": f"https://s{seed}.org/",
        }
        for number in range(8)
    ]
    lines.append({"id": "everywhere", "text": " ".join(WORDS), "url": "https://one.org/"})
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")


def write_recipe(folder: Path, tokens: int) -> Path:
    (folder / "in").mkdir(parents=True)
    for number in range(24):
        write_file(folder / "in" / f"{number:03d}.jsonl", number)
    text = (
        "name: grown\nseed: 5\nengine: {kind: inline}\nsources:\n"
        "  a: {read: {jsonl: {files: in/*.jsonl, split_bytes: 65536}}}\n"
        "tokenizer: {TOKENIZER}\noutput: run\n"
    )
    path = folder / "recipe.yaml"
    path.write_text(text.replace("TOKENIZER", "train: {vocab_size: 300}"))
    run(path, folder / "tokens")
    (found,) = (folder / "tokens").glob("steps/tokenizer/*/data/tokenizer.json")
    loading = f"load: {{path: {found}, add_missing: true}}"
    rest = f"mixture: {{tokens: {tokens}}}\npack: {{sequence_length: 64, held_out: 0.02}}\n"
    path.write_text(text.replace("TOKENIZER", loading) + rest)
    return path


@pytest.mark.parametrize(
    ("tokens", "change"), [(2_000, "one more in the middle"), (20_000, "the first one less")]
)
def test_units_of_which_the_same_is_drawn_are_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, change: str
) -> None:
    """Of a part of an epoch, and of several epochs and a part."""
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 2)
    monkeypatch.setattr(layout, "SMALL", (10**9, 1, 1))
    monkeypatch.setattr("tests.pipelines.run.test_increments.write_file", write_file)
    recipe = write_recipe(tmp_path, tokens)
    run(recipe, tmp_path / "run")
    CHANGES[change](tmp_path / "in")
    again, fresh = run(recipe, tmp_path / "run"), run(recipe, tmp_path / "fresh")
    for step in STEPS:
        done, adopted, total = redone(again, step)
        assert done + adopted == total > 8, step
        assert done <= total // 2, step
        assert redone(fresh, step)[1] == 0
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")
