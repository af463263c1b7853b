"""Resume, partial rerun, plans, and the same bytes from every engine and number of workers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from tests.warm import Warm

Make = Callable[..., Path]
Hashes = Callable[[Path], dict[str, str]]


def here(*arguments: object) -> str:
    """What the command prints, run in this process; its errors are raised."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def steps_of(output: str) -> dict[str, dict[str, object]]:
    return {step["name"]: step for step in json.loads(output)["steps"]}


def test_every_engine_and_number_of_workers_gives_the_same_bytes(
    finished: Path, warm: Warm, hashes_of: Hashes, tmp_path: Path
) -> None:
    """As the driver's own process; one worker is compared with it in `test_faults`, and Ray in `test_ray`."""
    flags = ["--set", "engine.kind=process", "--set", "engine.workers=3"]
    other = warm.call("run", finished, "--out", tmp_path / "two", *flags)
    assert other.returncode == 0, other.stderr
    assert hashes_of(tmp_path / "runs" / "small") == hashes_of(tmp_path / "two")
    assert len(hashes_of(tmp_path / "two")) > 20


def test_a_file_that_a_late_stage_reads_is_missed_before_anything_runs(recipe: Make, tmp_path: Path) -> None:
    section = "tokenizer={train: {}, references: {other: none.json}}"
    with pytest.raises(UserError) as refused:
        here("run", recipe(documents=50), "--out", tmp_path / "out", "--set", section)
    assert "tokenizer.references.other.path: there is no file" in str(refused.value)
    assert "correct the path, which is relative to the recipe" in str(refused.value)
    assert not list((tmp_path / "out").glob("steps/*"))


def test_nothing_changed_means_nothing_runs(recipe: Make) -> None:
    path = recipe(documents=300, kind="inline")
    first = steps_of(here("run", path, "--json"))
    assert all(step["done_now"] == step["units"] for step in first.values())
    again = steps_of(here("run", path, "--json"))
    assert all(step["reused"] and step["done_now"] == 0 for step in again.values())


def test_a_changed_input_file_reruns_only_its_source_and_what_follows(finished: Path) -> None:
    with (finished.parent / "b.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "one more document of enough words"}) + "\n")
    plan = json.loads(here("plan", finished, "--no-estimate", "--json"))
    states = {step["name"]: step["state"] for step in plan["steps"]}
    assert (states["a"], states["b.index"], states["b"]) == ("done", "run", "waits")
    after = steps_of(here("run", finished, "--json"))
    assert after["a"]["reused"]
    assert not after["b"]["reused"]
    assert not after["dedup.exact"]["reused"]


def test_touching_a_file_costs_an_index_and_nothing_more(finished: Path) -> None:
    (finished.parent / "b.jsonl").touch()
    after = steps_of(here("run", finished, "--json"))
    assert [name for name, step in after.items() if not step["reused"]] == ["b.index"]


def test_a_changed_plugin_is_a_changed_step_and_the_plan_says_why(finished: Path) -> None:
    plugin = finished.parent / "faulty.py"
    plugin.write_text(plugin.read_text().replace("< 4,", "< 6,"))
    plan = json.loads(here("plan", finished, "--no-estimate", "--json"))
    step = next(step for step in plan["steps"] if step["name"] == "a")
    assert step["state"] == "run"
    assert "code of trouble changed" in step["why"]


def test_changing_a_setting_back_finds_the_old_result_again(finished: Path) -> None:
    flags = ["--set", "sources.b.read.jsonl.split_bytes=131072"]
    changed = steps_of(here("run", finished, "--json", *flags))
    assert changed["a"]["reused"]
    assert not changed["b"]["reused"]
    assert all(step["reused"] for step in steps_of(here("run", finished, "--json")).values())


def test_a_plan_before_the_first_run_says_that_nothing_has_run(recipe: Make, tmp_path: Path) -> None:
    plan = here("plan", recipe(documents=300))
    assert "has not run yet" in plan
    assert re.search(r" core-seconds +[1-9]\S* (bytes|kB|MB) on disk", plan)
    assert re.search(r" GiB of memory, [1-9]\S* (kB|MB) of disk", plan)
    assert not (tmp_path / "runs").exists()


def test_swapping_two_sources_renumbers_their_units_and_so_reruns_what_reads_both(finished: Path) -> None:
    lines = finished.read_text().splitlines()
    a = next(i for i, line in enumerate(lines) if line.startswith("  a:"))
    lines[a], lines[a + 1] = lines[a + 1], lines[a]
    finished.write_text("\n".join(lines) + "\n")
    plan = json.loads(here("plan", finished, "--no-estimate", "--json"))
    step = next(step for step in plan["steps"] if step["name"] == "dedup.exact.scatter")
    assert (step["state"], step["why"]) == ("run", "order of documents: a, b -> b, a")
    assert not steps_of(here("run", finished, "--json"))["dedup.exact"]["reused"]
