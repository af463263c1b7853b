"""Resume, partial rerun, plans, and the same bytes from every engine and number of workers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]
Hashes = Callable[[Path], dict[str, str]]


def steps_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return {step["name"]: step for step in json.loads(done.stdout)["steps"]}


@pytest.mark.parametrize(
    "settings", [["engine.workers=1"], ["engine.workers=3"], ["engine.kind=inline"], ["engine.kind=ray"]]
)
def test_every_engine_and_number_of_workers_gives_the_same_bytes(
    settings: list[str], recipe: Make, corpusmill: Call, hashes_of: Hashes, tmp_path: Path
) -> None:
    path = recipe()
    assert corpusmill("run", path, "--out", tmp_path / "one").returncode == 0
    flags = [flag for setting in settings for flag in ("--set", setting)]
    other = corpusmill("run", path, "--out", tmp_path / "two", *flags)
    assert other.returncode == 0, other.stderr
    assert hashes_of(tmp_path / "one") == hashes_of(tmp_path / "two")
    assert len(hashes_of(tmp_path / "one")) > 20


def test_a_file_that_a_late_stage_reads_is_missed_before_anything_runs(
    recipe: Make, corpusmill: Call, tmp_path: Path
) -> None:
    section = "tokenizer={train: {}, references: {other: none.json}}"
    done = corpusmill("run", recipe(), "--out", tmp_path / "out", "--set", section)
    assert done.returncode == 1
    assert "tokenizer.references.other.path: there is no file" in done.stderr
    assert "correct the path, which is relative to the recipe" in done.stderr
    assert not list((tmp_path / "out").glob("steps/*"))


def test_nothing_changed_means_nothing_runs(recipe: Make, corpusmill: Call) -> None:
    path = recipe()
    first = steps_of(corpusmill("run", path, "--json"))
    assert all(step["done_now"] == step["units"] for step in first.values())
    again = steps_of(corpusmill("run", path, "--json"))
    assert all(step["reused"] and step["done_now"] == 0 for step in again.values())


def test_a_changed_input_file_reruns_only_its_source_and_what_follows(
    recipe: Make, corpusmill: Call, tmp_path: Path
) -> None:
    path = recipe()
    steps_of(corpusmill("run", path, "--json"))
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "one more document of enough words"}) + "\n")
    plan = json.loads(corpusmill("plan", path, "--no-estimate", "--json").stdout)
    states = {step["name"]: step["state"] for step in plan["steps"]}
    assert (states["a"], states["b.index"], states["b"]) == ("done", "run", "waits")
    after = steps_of(corpusmill("run", path, "--json"))
    assert after["a"]["reused"]
    assert not after["b"]["reused"]
    assert not after["dedup.exact"]["reused"]


def test_touching_a_file_costs_an_index_and_nothing_more(
    recipe: Make, corpusmill: Call, tmp_path: Path
) -> None:
    path = recipe()
    steps_of(corpusmill("run", path, "--json"))
    (tmp_path / "b.jsonl").touch()
    after = steps_of(corpusmill("run", path, "--json"))
    assert [name for name, step in after.items() if not step["reused"]] == ["b.index"]


def test_a_changed_plugin_is_a_changed_step_and_the_plan_says_why(
    recipe: Make, corpusmill: Call, tmp_path: Path
) -> None:
    path = recipe()
    steps_of(corpusmill("run", path, "--json"))
    plugin = tmp_path / "faulty.py"
    plugin.write_text(plugin.read_text().replace("< 4,", "< 6,"))
    plan = json.loads(corpusmill("plan", path, "--no-estimate", "--json").stdout)
    step = next(step for step in plan["steps"] if step["name"] == "a")
    assert step["state"] == "run"
    assert "trouble.code changed" in step["why"]


def test_changing_a_setting_back_finds_the_old_result_again(recipe: Make, corpusmill: Call) -> None:
    path = recipe()
    steps_of(corpusmill("run", path, "--json"))
    flags = ["--set", "sources.b.read.jsonl.split_bytes=131072"]
    changed = steps_of(corpusmill("run", path, "--json", *flags))
    assert changed["a"]["reused"]
    assert not changed["b"]["reused"]
    assert all(step["reused"] for step in steps_of(corpusmill("run", path, "--json")).values())


def test_a_plan_before_the_first_run_says_that_nothing_has_run(
    recipe: Make, corpusmill: Call, tmp_path: Path
) -> None:
    path = recipe(documents=300)
    plan = corpusmill("plan", path)
    assert plan.returncode == 0, plan.stderr
    assert "has not run yet" in plan.stdout
    assert "MB on disk" in plan.stdout
    assert not (tmp_path / "runs").exists()


def test_swapping_two_sources_renumbers_their_units_and_so_reruns_what_reads_both(
    recipe: Make, corpusmill: Call
) -> None:
    path = recipe()
    steps_of(corpusmill("run", path, "--json"))
    text = path.read_text()
    lines = text.splitlines()
    a = next(i for i, line in enumerate(lines) if line.startswith("  a:"))
    lines[a], lines[a + 1] = lines[a + 1], lines[a]
    path.write_text("\n".join(lines) + "\n")
    plan = json.loads(corpusmill("plan", path, "--no-estimate", "--json").stdout)
    step = next(step for step in plan["steps"] if step["name"] == "dedup.exact.scatter")
    assert (step["state"], step["why"]) == ("run", "inputs: a, b -> b, a")
    assert not steps_of(corpusmill("run", path, "--json"))["dedup.exact"]["reused"]
