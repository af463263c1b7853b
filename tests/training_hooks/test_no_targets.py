"""Steps whose windows are padding alone have no loss: they are in no figure, and never count as zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.curves.metrics import curves_of
from corpusmill.training_hooks.evaluation.judge import loss_falls
from corpusmill.training_hooks.loading.unigram import entropy
from corpusmill.training_hooks.model.balance import max_violation
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.expert_load import load_measures
from corpusmill.training_hooks.trainer.outcome import summary
from tests.oracles.training_shards import PAD, Writer, chain_language

STEPS = 24


@pytest.fixture(scope="module")
def rows() -> Any:
    """Rows of 64 whose last 40 places are padding: of windows of 8, five in eight hold nothing."""
    found = chain_language(12, 64, 0)
    found[:, 24:] = PAD
    return found


def test_a_step_without_a_target_is_in_no_figure(
    rows: Any, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # a training sets it
    options = {"batch_size": 1, "context": 8, "threads": 1, "steps": STEPS, "mtp_depth": 1}
    stage = Train(**options).prepare(Context(seed=3))
    found = stage.run({"shards": [write("0.arrow", rows)]}, tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    without = [record for record in records if not record["loss_by_source"]]
    seen = [record for record in records if record["loss_by_source"]]
    assert without
    assert seen
    for record in without:
        assert record["loss"] is None
        assert record["mtp_loss"] is None
    assert all(record["loss"] > 1 for record in seen)
    assert found["steps_without_targets"] == len(without)
    assert found["first_loss"] == seen[0]["loss"]
    assert found["last_loss"] == seen[-1]["loss"]
    curves = [point.values for point in curves_of(tmp_path)]
    assert [("loss/next_token" in at) for at in curves] == [bool(r["loss_by_source"]) for r in records]
    assert all(value != 0 for at in curves for tag, value in at.items() if tag.startswith("loss/"))


def lines(path: Path, losses: list[float | None]) -> Path:
    written = [
        {
            "loss": loss,
            "max_expert_violation": None if loss is None else loss / 2,
            "tokens": 5,
            "loss_by_source": {} if loss is None else {"a": loss},
        }
        for loss in losses
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in written))
    return path


def test_the_ends_are_those_of_steps_with_a_loss(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", [None, None, 6.0, *[3.0] * 36, None, None])
    found = summary(path, 41)
    assert (found["first_loss"], found["last_loss"], found["max_expert_violation"]) == (6.0, 3.0, 1.5)
    assert found["steps_without_targets"] == 4
    fall = loss_falls(path)["a"]
    assert (fall.first, fall.last) == (6.0, 3.0)


def test_without_any_target_the_losses_are_missing(tmp_path: Path) -> None:
    found = summary(lines(tmp_path / "m.jsonl", [None] * 3), 3)
    assert (found["first_loss"], found["last_loss"], found["max_expert_violation"]) == (None, None, None)
    assert found["steps_without_targets"] == 3
    assert loss_falls(tmp_path / "m.jsonl") == {}


def test_measures_over_nothing_are_missing() -> None:
    assert max_violation(torch.zeros(4, dtype=torch.int64)) is None
    nothing = load_measures([torch.zeros(4, dtype=torch.int64)])
    assert nothing == {"max_violation": [None], "mean_violation": [None], "entropy": [None]}
    assert entropy(np.zeros(5, np.int64)) is None
