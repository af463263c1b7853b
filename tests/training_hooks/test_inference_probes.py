"""Needle in a haystack and loss by position, against loops and generation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from corpusmill.training_hooks.inference import position_loss
from corpusmill.training_hooks.inference.generation import generate
from corpusmill.training_hooks.inference.needle import Needle, context, probe, text_needle, token_needle
from corpusmill.training_hooks.inference.position_loss import doubling_edges, loss_by_position
from tests.oracles.training_inference import CONFIGS, after, random_model, taught_model, tokens_of

HAY = tokens_of(2, 64, seed=12).tolist()


def test_a_context_has_its_needle_where_the_depth_says_and_the_key_at_its_end() -> None:
    needle = Needle((90, 91), (92, 93, 94), (95,))
    for depth, place in ((0.0, 0), (0.5, 12), (1.0, 24)):
        row = context(needle, HAY[0], 32, depth)
        assert len(row) == 32
        assert row[place : place + 6] == [90, 91, 92, 93, 94, 95]
        assert row[-2:] == [90, 91]
        assert row[:place] + row[place + 6 : -2] == HAY[0][:24]
    assert context(needle, HAY[0], 8, 0.3) == [90, 91, 92, 93, 94, 95, 90, 91]
    with pytest.raises(ValueError, match="in 7 tokens"):
        context(needle, HAY[0], 7, 0.3)
    with pytest.raises(ValueError, match="64 tokens, 92 needed"):
        context(needle, HAY[0], 100, 0.3)


def test_needles_follow_from_seed_and_trial() -> None:
    spelt = {trial: text_needle(lambda text: text.encode(), 1, trial) for trial in range(30)}
    first = spelt[0]
    assert text_needle(lambda text: text.encode(), 1, 0) == first
    assert bytes(first.before).startswith(b"\nThe pass key of the ")
    assert bytes(first.value)[1:].isdigit()
    assert len({needle.value for needle in spelt.values()}) == 30
    drawn = token_needle(range(40, 60), 1, 0, key=3, value=2)
    assert (len(drawn.before), len(drawn.value)) == (3, 2)
    assert all(40 <= token < 60 for token in (*drawn.before, *drawn.value))


def test_scores_are_those_of_generation_and_of_whole_passes() -> None:
    model = taught_model()
    right = Needle((5, 70), (after(70), after(after(70))))
    wrong = Needle((5, 70), (3, 4, 5))
    needles = [right, wrong, right]
    found = list(probe(model, HAY, needles, lengths=[20, 33], depths=[0.0, 0.6], batch=2))
    assert [(score.length, score.depth) for score in found] == [(20, 0.0), (20, 0.6), (33, 0.0), (33, 0.6)]
    for score in found:
        hits, losses, bare = 0, [], []
        for i, needle in enumerate(needles):
            row = context(needle, HAY[i % 2], score.length, score.depth)
            new = generate(model, [row], max_new_tokens=len(needle.value))[0][0].tokens
            hits += tuple(new) == needle.value
            without = [*HAY[i % 2][: score.length - 2], *needle.before]
            for seen, into in ((row, losses), (without, bare)):
                logits = model.logits(torch.tensor([[*seen, *needle.value]]))[0, len(seen) - 1 : -1]
                into.append(float(functional.cross_entropy(logits, torch.tensor(needle.value))))
        assert score.retrieved == hits / 3 == 2 / 3
        assert score.loss == pytest.approx(sum(losses) / 3, abs=1e-4)
        assert score.loss_without == pytest.approx(sum(bare) / 3, abs=1e-4)
    with pytest.raises(ValueError, match="64 tokens for contexts of 65"):
        next(probe(model, HAY, needles, lengths=[65]))
    with pytest.raises(ValueError, match="at least one needle"):
        next(probe(model, HAY, [], lengths=[20]))


def test_loss_by_position_equals_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_loss, "HEAD_LOGITS", 500)  # several pieces a sequence
    model = random_model(CONFIGS["groups with yarn"])
    batches = [(tokens_of(2, 20, seed=s), torch.ones(2, 20, dtype=torch.bool)) for s in (1, 2)]
    batches[1][1][0, 13:] = False
    batches[1][1][1, 4:] = False
    edges = [1, 2, 4, 8, 16]
    found = loss_by_position(model, batches, edges)
    for score, first, end in zip(found, edges, edges[1:], strict=False):
        losses = []
        for tokens, real in batches:
            for row, there in zip(tokens, real, strict=True):
                share = model.logits(row[None])[0].log_softmax(-1)
                losses += [-float(share[p - 1, row[p]]) for p in range(first, end) if there[p]]
        assert (score.first, score.last, score.tokens) == (first, end - 1, len(losses))
        assert score.loss == pytest.approx(sum(losses) / len(losses), abs=1e-4)
    assert loss_by_position(model, batches, [30, 40])[0].loss is None
    for wrong in ([0, 4], [4], [1, 1]):
        with pytest.raises(ValueError, match="edges must rise"):
            loss_by_position(model, batches, wrong)


def test_edges_double_up_to_the_longest() -> None:
    assert doubling_edges(19) == [1, 2, 4, 8, 16, 20]
    assert doubling_edges(16) == [1, 2, 4, 8, 16, 17]
    assert doubling_edges(1) == [1, 2]
