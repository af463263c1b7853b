from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.baselines import fit_baselines
from corpusmill.training_hooks.evaluation.evaluate import evaluate
from corpusmill.training_hooks.evaluation.held_out import ALL, HeldOut
from corpusmill.training_hooks.evaluation.split import split_shards
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from tests.oracles.training_baselines import Oracle
from tests.oracles.training_held_out import BYTES, EOS, PAD, write_documents

ROWS, LENGTH, CONTEXT = 9, 20, 8


@pytest.fixture
def model() -> Transformer:
    made = Transformer(preset("v3-tiny", 64))
    initialise(made, 3, 0.05)
    return made


@pytest.fixture
def rows() -> np.ndarray:
    made = np.random.default_rng(0).integers(3, 60, (ROWS, LENGTH))
    for row in range(ROWS):
        made[row, LENGTH - 2 * row :] = PAD
    return made


@pytest.fixture
def training(tmp_path: Path) -> Path:
    made = np.random.default_rng(1).integers(3, 60, (20, LENGTH))
    return write_documents(tmp_path / "shard-00000.arrow", made, split="train")


@pytest.fixture
def held_out(tmp_path: Path, rows: np.ndarray, training: Path) -> HeldOut:
    paths = [
        write_documents(tmp_path / "heldout-00000.arrow", rows[:5], split="held_out"),
        write_documents(
            tmp_path / "heldout-00001.arrow", rows[5:], split="held_out", sources=["b", "c", "a"]
        ),
    ]
    return HeldOut(paths, open_shard(training))


def source_of(row: int) -> str:
    return "ab"[row % 2] if row < 5 else "bca"[(row - 5) % 3]


def test_every_token_is_scored_once(model: Transformer, rows: np.ndarray, held_out: HeldOut) -> None:
    """Against the model run over one row, one window, one token at a time."""
    nats: dict[str, float] = dict.fromkeys("abc", 0.0)
    tokens: dict[str, int] = dict.fromkeys("abc", 0)
    position = np.zeros(CONTEXT)
    for number, row in enumerate(rows):
        text = [EOS, *row[row != PAD].tolist()]
        for at in range(1, len(text)):
            first = (at - 1) // CONTEXT * CONTEXT
            with torch.no_grad():
                logits = model.logits(torch.tensor([text[first:at]]))[0, -1]
            loss = float(-torch.log_softmax(logits, -1)[text[at]])
            nats[source_of(number)] += loss
            tokens[source_of(number)] += 1
            position[at - 1 - first] += loss
    found = evaluate(model, held_out, CONTEXT)
    assert set(found.scores) == {ALL, "a", "b", "c"}
    for source in "abc":
        score = found.scores[source]
        assert (score.tokens, score.bytes) == (tokens[source], BYTES * tokens[source])
        assert score.nats == pytest.approx(nats[source], rel=1e-5)
        assert score.as_json()["bits_per_byte"] == pytest.approx(
            nats[source] / math.log(2) / (BYTES * tokens[source]), rel=1e-5
        )
    assert found.scores[ALL].nats == pytest.approx(sum(nats.values()), rel=1e-5)
    assert found.scores[ALL].documents == ROWS
    np.testing.assert_allclose(found.position_nats, position, rtol=1e-5)
    assert found.position_tokens.sum() == sum(tokens.values())
    ranges = found.by_position()
    assert [(r["from"], r["to"]) for r in ranges] == [(1, 1), (2, 2), (3, 4), (5, 8)]
    assert sum(r["tokens"] for r in ranges) == sum(tokens.values())


def test_evaluating_changes_nothing(model: Transformer, held_out: HeldOut) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = evaluate(model, held_out, CONTEXT), evaluate(model, held_out, CONTEXT)
    assert first.scores == second.scores
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("context", [1, 7, LENGTH, 64])
def test_windows_of_any_length_hold_all(held_out: HeldOut, rows: np.ndarray, context: int) -> None:
    found = list(held_out.windows(context, 4))
    assert all(len(w.tokens) == 4 for w in found[:-1])
    targets = np.concatenate([w.tokens[:, 1:][w.source >= 0] for w in found])
    np.testing.assert_array_equal(targets, rows[rows != PAD])
    assert all((w.source >= 0).any(axis=1).all() for w in found)


def test_uniform_guess_costs_ln_v(model: Transformer, held_out: HeldOut) -> None:
    with torch.no_grad():
        model.lm_head.weight.zero_()
    score = evaluate(model, held_out, CONTEXT).scores[ALL]
    assert score.nats / score.tokens == pytest.approx(math.log(64), rel=1e-6)


def test_bf16_is_near(model: Transformer, held_out: HeldOut) -> None:
    exact, low = (evaluate(model, held_out, CONTEXT, mode).scores[ALL].nats for mode in ("fp32", "bf16"))
    assert low != exact
    assert low == pytest.approx(exact, rel=5e-3)


def test_baselines_see_the_same_tokens(
    model: Transformer, rows: np.ndarray, held_out: HeldOut, training: Path
) -> None:
    shard = open_shard(training)
    oracle = Oracle([shard.tokens(r).tolist() for r in range(shard.rows)], EOS, 64)
    found = held_out.baseline_scores(fit_baselines([training]))
    own = evaluate(model, held_out, CONTEXT).scores
    for name in ("unigram", "bigram"):
        assert {s: (one.tokens, one.bytes) for s, one in found[name].items()} == {
            s: (one.tokens, one.bytes) for s, one in own.items()
        }
    texts = [[EOS, *row[row != PAD].tolist()] for row in rows]
    pairs = [pair for text in texts for pair in pairwise(text)]
    assert found["bigram"][ALL].nats == pytest.approx(sum(oracle.bigram(*pair) for pair in pairs))
    assert found["unigram"][ALL].nats == pytest.approx(sum(oracle.unigram(word) for _, word in pairs))
    lone = [pair for r, text in enumerate(texts) if source_of(r) == "c" for pair in pairwise(text)]
    assert found["bigram"]["c"].nats == pytest.approx(sum(oracle.bigram(*pair) for pair in lone))


def test_a_part_is_whole_shards(held_out: HeldOut) -> None:
    assert held_out.some(None) is held_out
    assert held_out.some(held_out.tokens) is held_out
    part = held_out.some(1)
    assert len(part.shards) == 1
    assert (part.tokens, part.documents) == (80, 5)
    assert held_out.scores(np.ones(3), np.ones(3, np.int64))["b"].documents == 4
    assert part.scores(np.ones(3), np.ones(3, np.int64))["b"].documents == 2
    assert "c" not in part.scores(np.ones(3), np.ones(3, np.int64))


def test_shards_know_what_they_are_for(tmp_path: Path, training: Path, rows: np.ndarray) -> None:
    apart = write_documents(tmp_path / "h.arrow", rows, split="held_out")
    silent = write_documents(tmp_path / "s.arrow", rows)
    assert split_shards([apart, training, silent]) == ([training, silent], [apart])
    with pytest.raises(IntegrityError, match="is not held out"):
        HeldOut([training], open_shard(training))
    other = write_documents(tmp_path / "o.arrow", rows, split="held_out", tokenizer="1" * 64)
    with pytest.raises(IntegrityError, match=r"o\.arrow has tokenizer 1111"):
        HeldOut([other], open_shard(training))
    odd = write_documents(tmp_path / "odd.arrow", rows, split="validation")
    with pytest.raises(IntegrityError, match="'validation'"):
        split_shards([odd])
