from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from corpusmill.training_hooks.evaluation.held_out import ALL, Score
from corpusmill.training_hooks.evaluation.judge import Fall, judge, loss_falls
from corpusmill.training_hooks.evaluation.options import Require

FALLS = {"a": Fall(5.0, 3.0), "b": Fall(5.0, 4.9)}


def scores(model: float, unigram: float, bigram: float) -> dict[str, dict[str, Score]]:
    """Bits per byte of all; source `b` is half a bit dearer for the model."""
    made = {}
    for name, bits, more in (("model", model, 0.5), ("unigram", unigram, 0.0), ("bigram", bigram, 0.0)):
        parts = {"a": bits, "b": bits + more}
        held = {source: Score(value * 100 * math.log(2), 30, 100, 2) for source, value in parts.items()}
        made[name] = {ALL: Score(sum(s.nats for s in held.values()), 60, 200, 4), **held}
    return made


def test_all_holds() -> None:
    assert judge(Require(loss_falls=0.05), FALLS, scores(1.0, 2.0, 1.6)) == []
    assert judge(Require(loss_falls=0.05, beats="bigram"), FALLS, scores(1.0, 2.0, 1.6)) == []


def test_a_loss_that_does_not_fall_is_named() -> None:
    (said,) = judge(Require(loss_falls=0.2, beats=None), FALLS, None)
    assert said == "the loss of b went from 5.000 to 4.900, a fall of 0.100 nats; 0.2 are required"
    assert judge(Require(loss_falls=0.2, beats=None), {"a": Fall(5.0, math.inf)}, None)


def test_a_source_without_tokens_at_one_end_is_not_judged() -> None:
    falls = {**FALLS, "c": Fall(math.nan, 4.0)}
    assert judge(Require(loss_falls=0.05, beats=None), falls, None) == []
    assert "no source" in judge(Require(beats=None), {"c": Fall(math.nan, 4.0)}, None)[0]


def test_a_source_that_the_baseline_knows_better_is_named() -> None:
    require = Require(loss_falls=None)
    (said,) = judge(require, FALLS, scores(1.2, 1.5, 1.0))
    assert said == "held-out documents of b: 1.700 bits per byte, not below the unigram's 1.500"
    assert len(judge(require, FALLS, scores(1.6, 1.5, 1.0))) == 3
    said = " ".join(judge(require, FALLS, scores(1.6, 1.5, 1.0)))
    assert "all sources together" in said
    require = Require(loss_falls=None, beats="bigram")
    assert len(judge(require, FALLS, scores(1.2, 3.0, 1.0))) == 3


def test_nothing_held_out_cannot_be_beaten() -> None:
    assert "raise `held_out` under `pack`" in judge(Require(loss_falls=None), FALLS, None)[0]


def test_equal_is_not_below() -> None:
    assert judge(Require(loss_falls=None), FALLS, scores(1.5, 1.5, 1.0))


def test_falls_are_of_the_first_and_last_twentieth(tmp_path: Path) -> None:
    lines = [{"loss_by_source": {"a": 100.0 - k, **({"b": 1.0} if k < 2 else {})}} for k in range(40)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = loss_falls(tmp_path / "m.jsonl")
    assert found["a"] == (99.5, 61.5)
    assert found["b"].first == 1.0
    assert math.isnan(found["b"].last)


def test_options_are_checked() -> None:
    with pytest.raises(ValidationError):
        Require.model_validate({"beats": "trigram"})
    with pytest.raises(ValidationError):
        Require.model_validate({"loss_falls": -1})
