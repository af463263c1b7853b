"""The recipes of configs/ablations at their smallest: what they share once, and the training of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.recipe.loader import load_recipe

ABLATIONS = Path(__file__).resolve().parents[2] / "configs" / "ablations"
RECIPES = sorted(ABLATIONS.glob("*.yaml"))
TRAINED = ("base", "mtp_off", "balance_off", "balance_aux_strong", "precision_fp8")
"""The others differ from one of these in a number or a type alone."""


def content(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_differs_from_the_base_in_training_alone(path: Path) -> None:
    found, base = content(path), content(ABLATIONS / "base.yaml")
    assert found.pop("name") == path.stem
    train, compared = found.pop("train"), base.pop("train")
    del base["name"]
    assert found == base
    changed = {name for name in {*train, *compared} if train.get(name) != compared.get(name)}
    assert len(changed) == (0 if path.stem == "base" else 1)
    assert changed <= {"mtp_depth", "balance", "precision"}


def test_the_base_makes_its_shards_as_the_shipped_recipe_does(corpusmill: Callable[..., Any]) -> None:
    """Of fewer sources and in other sizes: so what runs here runs there."""
    base, tiny = content(ABLATIONS / "base.yaml"), content(ABLATIONS.parent / "tiny.yaml")
    assert base["sources"].items() <= tiny["sources"].items()
    assert {name: base[name] for name in ("dedup", "decontaminate")} == {
        name: tiny[name] for name in ("dedup", "decontaminate")
    }
    for name in ("tokenizer", "mixture", "pack"):
        assert base[name].keys() - {"held_out"} == tiny[name].keys()
    done = corpusmill("validate", ABLATIONS / "base.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TRAINED)
def test_recipes_train(name: str, calm: Path, tmp_path: Path) -> None:
    """On the shards of the smallest run; with the checks of shards that the recipe requires."""
    path = ABLATIONS / f"{name}.yaml"
    ((_, found),) = load_recipe(path).sections["train"].stages()
    stage: Any = found
    fewer = {"steps": 2, "batch_size": 2, "threads": 1, "evaluate": {"every": 1}}
    require = {**stage.require.model_dump(), "loss_falls": None, "beats": None}
    made = type(stage).model_validate({**stage.model_dump(), **fewer, "require": require})
    fingerprint = json.loads((calm / "current.json").read_text())["steps"]["pack"]
    shards = sorted((calm / "steps" / "pack" / fingerprint[:16] / "data").glob("*.arrow"))
    summary = made.prepare(Context(seed=17)).run({"shards": shards}, tmp_path)
    assert summary["shard_faults"] == 0
    assert summary["bits_per_byte"]["model"] > 0
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    if name == "mtp_off":
        assert record["mtp_loss"] is None
    else:
        assert record["mtp_loss"] > 0
    assert (record["gamma"] > 0) == (not name.startswith("balance"))
