"""`plan` counts the units of all levels of a step, where they are known before the first is done."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators import fold_combine, layout, resolve_by_rule
from corpusmill.pipelines.run.plan import PlannedStep, make_plan, render_plan
from corpusmill.pipelines.run.runner import run_recipe
from tests.pipelines.run.conftest import write_lines
from tests.pipelines.run.test_levels import PLUGIN


def write_recipe(folder: Path) -> Path:
    (folder / "shape.py").write_text(PLUGIN)
    write_lines(folder / "a.jsonl", 1200, 1)
    draw = random.Random(3)
    lines = []
    for _ in range(30):
        words = [str(draw.randrange(10**6)) for _ in range(60)]
        near = [" ".join([*words, str(place)]) for place in range(4)]
        lines += [f'{{"text": "{text}"}}' for text in near]
    (folder / "b.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "recipe.yaml"
    path.write_text(
        "name: tree\nplugins: [shape.py]\nengine: {kind: inline}\nsources:\n"
        "  a: {read: {jsonl: {files: '*.jsonl', split_bytes: 65536}}}\n"
        "dedup: [exact, minhash: {threshold: 0.5}]\nshape: {}\noutput: run\n"
    )
    return path


def planned(path: Path, step: str) -> PlannedStep:
    """The step in a plan, which has to be next."""
    plan = make_plan(load_recipe(path))
    found = next(one for one in plan.steps if one.name == step)
    assert found.state == "run"
    assert (f"{found.units}+ unit" in render_plan(plan)) == found.more
    return found


def test_levels_that_follow_from_the_layout_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (layout, "FAN", 2),
        (fold_combine, "FAN_IN", 2),
        (resolve_by_rule, "PARTITION_PAIRS", 60),
    ):
        monkeypatch.setattr(module, name, value)
    path = write_recipe(tmp_path)
    try:
        for step, before in (
            ("dedup.exact.scatter", "a"),
            ("dedup.minhash.resolve", "dedup.minhash.gather"),
            ("shape.combine", "shape.partials"),
        ):
            run_recipe(load_recipe(path), until=[before])
            plan = planned(path, step)
            (done,) = (
                one for one in run_recipe(load_recipe(path), until=[step]).steps if one.step.name == step
            )
            assert plan.units is not None
            assert plan.left == plan.units
            assert plan.more == (step != "dedup.exact.scatter")  # what follows from what units give
            assert done.total > plan.units if plan.more else done.total == plan.units > 3
    finally:
        plugins.clear_plugins()
