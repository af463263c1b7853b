"""Stages that cut, before files that change: what units sent is taken over, with the bytes of a fresh run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpusmill.pipelines.run.operators import read
from tests.pipelines.run.test_increments import WORDS, current_files, redone, run

STAGES = ("boilerplate", "paragraph", "substring")


def write_file(path: Path, seed: int) -> None:
    """Pages of three sites, with a menu, passages that are in many files, and a run of one character."""
    draw, shared = random.Random(seed), random.Random(1)
    passages = [" ".join(shared.choices(WORDS, k=40)) for _ in range(12)]
    lines = []
    for number in range(8):
        own = " ".join(draw.choices(WORDS, k=60))
        quoted = f"{own} {draw.choice(passages)} {draw.random()} {'水' * draw.randint(1, 200)}"
        text = f"Home | About\n\n{draw.choice(passages)}\n\n{quoted}\n\n{draw.choice(passages)}"
        url = f"https://site{number % 3}.example/{seed}/{number}" if number % 4 else None
        lines.append({"id": f"{seed}-{number}", "text": text, "url": url})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def test_files_that_change_cost_their_own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_SPLITS_PER_UNIT", 2)
    (tmp_path / "in").mkdir()
    for number in range(10, 34):
        write_file(tmp_path / "in" / f"{number}.jsonl", number)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: grown\nengine: {kind: inline}\noutput: run\n"
        "sources: {a: {read: {jsonl: {files: in/*.jsonl, split_bytes: 65536}}}}\n"
        "dedup:\n  - boilerplate: {min_share: 0.5}\n  - paragraph: {within: site}\n"
        "  - substring: {min_bytes: 100, bounds: characters}\n"
    )
    run(recipe, tmp_path / "run")
    (tmp_path / "in" / "10.jsonl").unlink()
    write_file(tmp_path / "in" / "22a.jsonl", 100)
    again, fresh = run(recipe, tmp_path / "run"), run(recipe, tmp_path / "fresh")
    for stage in STAGES:
        (entry,) = again.manifest(f"dedup.{stage}").ledger
        assert entry.cut, stage
    done, adopted, total = redone(again, "dedup.boilerplate.scatter")
    assert done + adopted == total > 8
    assert done <= total // 3
    assert redone(fresh, "dedup.boilerplate.scatter")[1] == 0
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")
