"""Files that are added, changed or taken away: few units are done again, and every byte is a fresh run's."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators import fold_combine, fold_map, layout
from corpusmill.pipelines.run.operators.grouping import grouped, runs
from corpusmill.pipelines.run.plan import Plan, make_plan
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.run.test_levels import PLUGIN

WORDS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")


def write_file(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    texts = (" ".join(draw.choices(WORDS, k=200)) for _ in range(12))
    lines = [json.dumps({"id": f"{seed}-{number}", "text": text}) for number, text in enumerate(texts)]
    lines.append(lines[0])
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_recipe(folder: Path) -> Path:
    (folder / "in").mkdir()
    for number in range(60):
        write_file(folder / "in" / f"{number:03d}.jsonl", number)
    (folder / "shape.py").write_text(PLUGIN)
    path = folder / "recipe.yaml"
    path.write_text(
        "name: grown\nplugins: [shape.py]\nengine: {kind: inline}\nsources:\n"
        "  a: {read: {jsonl: {files: in/*.jsonl, split_bytes: 65536}}, steps: [gopher_repetition: {}]}\n"
        "dedup: [exact]\nshape: {}\noutput: run\n"
    )
    return path


def run(recipe: Path, out: Path) -> RunResult:
    try:
        return run_recipe(load_recipe(recipe, [f"output={out}"]))
    finally:
        plugins.clear_plugins()


def plan_of(recipe: Path, out: Path) -> Plan:
    try:
        return make_plan(load_recipe(recipe, [f"output={out}"]))
    finally:
        plugins.clear_plugins()


def current_files(out: Path) -> dict[str, str]:
    """SHA-256 of every file of the versions that the run points at: manifests and segments too."""
    folder = RunFolder(out)
    found = {}
    for name, version in folder.current().steps.items():
        step = folder.step(name, version).path
        for path in sorted(step.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def add_first(folder: Path) -> None:
    write_file(folder / "000a.jsonl", 1000)
    (folder / "000.jsonl").rename(folder / "0000.jsonl")
    write_file(folder / "000.jsonl", 0)


CHANGES: dict[str, Callable[[Path], object]] = {
    "one more at the end": lambda folder: write_file(folder / "999.jsonl", 1000),
    "one more in the middle": lambda folder: write_file(folder / "030a.jsonl", 1000),
    "one less": lambda folder: (folder / "017.jsonl").unlink(),
    "the first one less": lambda folder: (folder / "000.jsonl").unlink(),
    "one changed": lambda folder: write_file(folder / "044.jsonl", 1000),
}


PLANNED = {
    "one more at the end": "1 new file of 61",
    "one more in the middle": "1 new file of 61",
    "one less": "1 file of 60 taken away",
    "the first one less": "1 file of 60 taken away",
    "one changed": "1 changed file of 60",
}


def redone(result: RunResult, step: str) -> tuple[int, int, int]:
    """Units done, taken over, and in all."""
    state = next(state for state in result.steps if state.step.name == step)
    return state.redone, state.adopted, state.total


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_costs_its_own_units_and_gives_a_fresh_runs_bytes(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_combine, "FAN_IN", 4)
    monkeypatch.setattr(layout, "SMALL", (10**9, 1, 1))
    recipe = write_recipe(tmp_path)
    first = run(recipe, tmp_path / "run")
    assert redone(first, "a")[1] == 0
    CHANGES[change](tmp_path / "in")
    planned = plan_of(recipe, tmp_path / "run")
    again = run(recipe, tmp_path / "run")
    plan = {step.name: step for step in planned.steps}
    assert plan["a.index"].why.startswith(PLANNED[change])
    assert (plan["a.index"].units, plan["a.index"].left) == redone(again, "a.index")[::-2]
    for step in ("a", "shape.partials"):
        done, adopted, total = redone(again, step)
        assert done + adopted == total > 12
        if step == "a":
            assert 1 <= done <= total // 3
    assert redone(again, "a.index")[0] <= 2
    done, adopted, total = redone(again, "shape.combine")
    assert done + adopted == total > 3
    assert adopted >= total // 2  # all but a branch, wherever the file stands
    fresh = run(recipe, tmp_path / "fresh")
    assert redone(fresh, "a")[1] == 0
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")


def test_units_of_a_fold_that_share_a_file_are_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_map, "LEAST_UNITS", 4)
    recipe = write_recipe(tmp_path)
    first = run(recipe, tmp_path / "run")
    assert redone(first, "a")[2] > 2 * redone(first, "shape.partials")[2] > 8
    CHANGES["the first one less"](tmp_path / "in")
    again = run(recipe, tmp_path / "run")
    done, adopted, total = redone(again, "shape.partials")
    assert done <= total // 2
    assert adopted
    run(recipe, tmp_path / "fresh")
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")
    monkeypatch.undo()
    monkeypatch.setattr(layout, "SMALL", (10**9, 1, 1))
    run(recipe, tmp_path / "one by one")
    shapes = [next((tmp_path / out).glob("steps/shape/*/data/shape.json")) for out in ("fresh", "one by one")]
    assert json.loads(shapes[0].read_text())["ids"] == json.loads(shapes[1].read_text())["ids"]


def test_what_was_taken_over_may_have_lost_its_files(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    first = run(recipe, tmp_path / "run")
    state = next(state for state in first.steps if state.step.name == "a")
    assert state.folder is not None
    for path in list(state.folder.data.glob("*.parquet"))[:3]:
        path.unlink()
    CHANGES["one changed"](tmp_path / "in")
    again = run(recipe, tmp_path / "run")
    assert redone(again, "a")[0] >= 3
    run(recipe, tmp_path / "fresh")
    assert current_files(tmp_path / "run") == current_files(tmp_path / "fresh")


def test_another_option_takes_nothing_over(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run(recipe, tmp_path / "run")
    stricter = "gopher_repetition: {max_duplicate_lines: 0.9}"
    recipe.write_text(recipe.read_text().replace("gopher_repetition: {}", stricter))
    again = run(recipe, tmp_path / "run")
    done, adopted, total = redone(again, "a")
    assert (done, adopted) == (total, 0)


names = st.lists(st.integers(0, 2**64 - 1), max_size=60)


@given(names, st.integers(1, 9))
def test_runs_are_of_bounded_size_and_in_order(some: list[int], size: int) -> None:
    bounds = runs(np.array(some, np.uint64), size)
    assert (bounds[0], bounds[-1]) == (0, len(some))
    sizes = [end - start for start, end in pairwise(bounds)]
    least, most = max(2, -(-size // 2)), max(2, size + size // 2)
    assert len(some) > most or len(sizes) == bool(some)
    assert all(least <= one <= most for one in sizes[:-1])
    assert all(0 < one <= most for one in sizes[-1:])


@pytest.mark.parametrize("size", [2, 4, 16, 64])
def test_an_item_more_or_less_anywhere_changes_few_runs(size: int) -> None:
    draw = np.random.default_rng(5)
    every = draw.integers(0, 2**64, 6000, np.uint64)

    def of(some: npt.NDArray[np.uint64]) -> set[bytes]:
        return {some[start:end].tobytes() for start, end in pairwise(runs(some, size))}

    whole = of(every)
    assert 0.7 * size < len(every) / len(whole) < 1.4 * size
    changed = []
    for place in range(0, 6000, 97):
        more = np.insert(every, place, draw.integers(0, 2**64, 1, np.uint64))
        changed += [len(of(some) - whole) for some in (more, np.delete(every, place))]
    assert np.mean(changed) < 4
    assert max(changed) < 20


def test_groups_come_back_after_a_change() -> None:
    draw = random.Random(7)
    items = [(f"f{number:05d}", draw.randint(1, 40)) for number in range(4000)]

    def bounds(some: list[tuple[str, int]]) -> set[tuple[str, ...]]:
        found = grouped(some, lambda item: item[0], lambda item: item[1], 200, 16)
        assert [item for group in found for item in group] == some
        assert all(sum(size for _, size in group) <= 200 and len(group) <= 16 for group in found)
        return {tuple(name for name, _ in group) for group in found}

    whole = bounds(items)
    assert 200 < len(whole) < 900
    changed = []
    for place in range(0, 4000, 97):
        less, more = items[:place] + items[place + 1 :], [*items[:place], (f"new{place}", 33), *items[place:]]
        changed += [len(bounds(less) - whole), len(bounds(more) - whole)]
    assert sum(changed) / len(changed) < 4
    assert max(changed) < 20
    big = grouped([("a", 500), ("b", 1), ("c", 500)], lambda item: item[0], lambda item: item[1], 200, 16)
    assert [len(group) for group in big] == [1, 1, 1]
    assert grouped([], str, len, 1, 1) == []
