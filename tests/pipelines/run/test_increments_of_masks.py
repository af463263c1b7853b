"""Files that change before late filters and exchanges: units of both that read the same are taken over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.run.operators import layout, read
from tests.pipelines.run.test_increments import WORDS, current_files, redone, run

QUESTION = "which of the seven stones that lie north of the quiet river is the amber one that glows at night"
MASKS = ("decontaminate", "dedup.exact.scatter", "dedup.minhash.scatter")


def write_file(path: Path, seed: int) -> None:
    """Documents of which some are in every file, some nearly, some hold a question, one has little text."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=120)) for _ in range(6)]
    shared = [" ".join(WORDS * 12), " ".join([*WORDS * 12, str(seed)]), f"{texts[0]} {QUESTION}?", "short"]
    lines = [
        {
            "id": f"{path.stem}-{seed}-{number}",
            "text": text,
            "repo": f"r{(seed + number) % 3}",
            "path": "x.py",
        }
        for number, text in enumerate([*texts, *shared])
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")


def write_recipe(folder: Path) -> Path:
    for source in ("in", "code"):
        (folder / source).mkdir()
        for number in range(10, 34):
            write_file(folder / source / f"{number}.jsonl", number)
    (folder / "tests.jsonl").write_text(json.dumps({"text": QUESTION}) + "\n")
    path = folder / "recipe.yaml"
    path.write_text(
        "name: grown\nengine: {kind: inline}\nsources:\n"
        "  a: {read: {jsonl: {files: in/*.jsonl, split_bytes: 65536}}}\n"
        "  b: {read: {jsonl: {files: code/*.jsonl, split_bytes: 65536}}, steps: [repository_order: {}]}\n"
        "dedup: [exact, minhash: {verify: true}]\ndecontaminate: {against: tests.jsonl}\noutput: run\n"
    )
    return path


def one_without_a_document_and_one_changed(folder: Path) -> None:
    (folder / "17.jsonl").write_text("")
    write_file(folder / "28.jsonl", 101)


CHANGES: dict[str, Callable[[Path], object]] = {
    "one more in the middle": lambda folder: write_file(folder / "14a.jsonl", 100),
    "the first one less": lambda folder: (folder / "10.jsonl").unlink(),
    "one emptied, one changed": one_without_a_document_and_one_changed,
}


def test_masks_and_exchanges_take_over_units_and_give_a_fresh_runs_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 2)
    recipe = write_recipe(tmp_path)
    run(recipe, tmp_path / "run")
    for number, (name, change) in enumerate(CHANGES.items()):
        for source in ("in", "code"):
            change(tmp_path / source)
        again, fresh = run(recipe, tmp_path / "run"), run(recipe, tmp_path / f"fresh{number}")
        for step in ("a", "b.0", *MASKS, "b.scatter"):
            done, adopted, total = redone(again, step)
            print(name, step, done, adopted, total)
            assert done + adopted == total > 8, (name, step)
            assert done <= total // 3, (name, step)
            assert redone(fresh, step)[1] == 0
        for mask in ("decontaminate", "dedup.exact", "dedup.minhash"):
            assert again.manifest(mask).rows > 1
        assert current_files(tmp_path / "run") == current_files(tmp_path / f"fresh{number}"), name


def test_units_of_a_step_with_levels_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later levels of the step read what was taken over, by its receipts, and are taken over themselves."""
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 2)
    monkeypatch.setattr(layout, "FAN", 4)
    recipe = write_recipe(tmp_path)
    run(recipe, tmp_path / "run")
    CHANGES["one more in the middle"](tmp_path / "in")
    again = run(recipe, tmp_path / "run")
    units = redone(again, "decontaminate")[2]
    for step in ("dedup.exact.scatter", "dedup.minhash.scatter"):
        done, adopted, total = redone(again, step)
        assert total > units
        assert adopted > units
        assert done <= total // 2
    run(recipe, tmp_path / "fresh")
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")


def test_one_more_level_of_files_gives_a_fresh_runs_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receipts of the last level alone tell of large partitions."""
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 4)
    monkeypatch.setattr(layout, "LARGE", 64)
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace(", minhash: {verify: true}]", "]"))
    units = redone(run(recipe, tmp_path / "run"), "dedup.exact.scatter")[2]
    monkeypatch.setattr(layout, "FAN", units)
    for number in range(50, 58):
        write_file(tmp_path / "in" / f"{number}.jsonl", number)
    assert redone(run(recipe, tmp_path / "run"), "dedup.exact.scatter")[2] > units + 1
    run(recipe, tmp_path / "fresh")
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")
