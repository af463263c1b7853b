"""A trained model's context made longer: YaRN, training on longer rows, and what is measured of it."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.storage.sealed import read_sealed
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.evaluation.held_out import HeldOut
from corpusmill.training_hooks.extend_context import MEASURED, ExtendContext, _Measured
from corpusmill.training_hooks.inference.open_model import open_model
from corpusmill.training_hooks.inference.position_loss import doubling_edges, loss_by_position
from corpusmill.training_hooks.train import Train
from tests.oracles.training_held_out import PAD, write_documents
from tests.oracles.training_shards import chain_language

SHORT, LONG, LONGER = 16, 32, 64
NEEDLES = {"kind": "tokens", "trials": 2, "depths": [0.0, 1.0], "lengths": [24, 32]}
OPTIONS: dict[str, Any] = {"threads": 1, "batch_size": 2, "steps": 5, "learning_rate": 0.001}


def packed(folder: Path, length: int) -> list[Path]:
    """Training and held-out shards with rows of `length` tokens."""
    folder.mkdir()
    rows = chain_language(24, length, 0)
    rows[::5, length - 3 :] = PAD
    return [
        write_documents(folder / "shard-00000.arrow", rows, split="train"),
        write_documents(
            folder / "heldout-00000.arrow", chain_language(6, length, 1), split="held_out", first=100
        ),
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model trained on windows of `SHORT` tokens."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "model").mkdir()
    stage = Train(threads=1, batch_size=4, steps=8, learning_rate=0.01, context=SHORT, mtp_depth=1)
    shards = packed(folder / "short", LONG)
    stage.prepare(Context(seed=3)).run({"shards": shards}, folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def long_shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return packed(tmp_path_factory.mktemp("shards") / "long", LONG)


def extend(shards: list[Path], model: Path, folder: Path, **options: Any) -> dict[str, Any]:
    folder.mkdir()
    given = {"sequence_length": LONG, "needles": NEEDLES, **OPTIONS, **options}
    stage = ExtendContext(**given).prepare(Context(seed=3))
    return stage.run({"shards": shards, "model": [model]}, folder)


@pytest.fixture(scope="module")
def extended(
    trained: Path, long_shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The folder and the summary of a phase with the usual options; not to be changed."""
    out = tmp_path_factory.mktemp("extended") / "out"
    return out, extend(long_shards, trained, out)


def read(folder: Path, name: str = "long_context.json") -> Any:
    return json.loads((folder / name).read_text())


def test_a_phase_stretches_trains_and_measures(extended: tuple[Path, dict[str, Any]]) -> None:
    out, summary = extended
    assert (summary["context"], summary["factor"], summary["steps"]) == (LONG, 2.0, 5)
    config = read(out, "config.json")
    assert config["rope_scaling"]["factor"] == 2.0
    assert config["rope_scaling"]["original_max_position_embeddings"] == SHORT
    assert config["max_position_embeddings"] == LONG
    found = read(out)
    assert found["context"] == [SHORT, LONG]
    assert found["rope_scaling"] == config["rope_scaling"]
    for name in ("before", "stretched", "after"):
        parts = found["by_position"][name]
        assert [part["to"] for part in parts] == [1, 2, 4, 8, 16, 32]
        assert sum(part["tokens"] for part in parts) == 6 * LONG
    assert found["by_position"]["before"] != found["by_position"]["stretched"]
    assert (
        found["by_position"]["after"][-1]["nats_per_token"]
        < (found["by_position"]["stretched"][-1]["nats_per_token"])
    )
    for name in ("before", "after"):
        scores = found["needles"][name]
        assert [(score["length"], score["depth"]) for score in scores] == [
            (24, 0.0), (24, 1.0), (32, 0.0), (32, 1.0),
        ]  # fmt: skip
        assert all(score["trials"] == 2 and score["loss"] > 0 for score in scores)
    rates = [json.loads(line)["learning_rate"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rates == [0.001] * 5


def test_what_is_measured_before_is_the_given_model_unstretched(
    trained: Path, long_shards: list[Path], extended: tuple[Path, dict[str, Any]]
) -> None:
    """Against `loss_by_position`, which shares no code with it, on windows put together here."""
    out, _ = extended
    held_out = HeldOut([long_shards[1]], open_shard(long_shards[0]))
    batches = [
        (torch.from_numpy(windows.tokens), torch.from_numpy(np.pad(windows.source >= 0, ((0, 0), (1, 0)))))
        for windows in held_out.windows(LONG, 3)
    ]
    model = open_model(trained)
    wanted_parts = loss_by_position(model, batches, doubling_edges(LONG))
    model.set_rope_scaling(open_model(out).config.rope_scaling)
    stretched_parts = loss_by_position(model, batches, doubling_edges(LONG))
    found = read(out)["by_position"]
    # Buckets there are 1, 2-3, 4-7, ...; here 1, 2, 3-4, 5-8, ...: totals and the first agree.
    for name, parts in (("before", wanted_parts), ("stretched", stretched_parts)):
        other = [part.loss for part in parts if part.loss is not None]
        assert found[name][0]["nats_per_token"] == pytest.approx(other[0], abs=1e-5)
        counts = [part["tokens"] for part in found[name]]
        total = sum(part["nats_per_token"] * part["tokens"] for part in found[name])
        edges = doubling_edges(LONG)
        sizes = [6 * (b - a) for a, b in pairwise(edges)]
        assert sum(sizes) == sum(counts)
        assert total == pytest.approx(sum(x * n for x, n in zip(other, sizes, strict=True)), rel=1e-5)


def test_phases_follow_one_another_with_one_stretching(
    trained: Path, long_shards: list[Path], tmp_path: Path
) -> None:
    extend(long_shards, trained, tmp_path / "one", factor=4.0)
    longer = packed(tmp_path / "longer", LONGER)
    extend(longer, tmp_path / "one", tmp_path / "two", factor=4.0, sequence_length=LONGER, steps=2)
    found = read(tmp_path / "two")
    assert found["context"] == [SHORT, LONGER]
    assert found["by_position"]["stretched"] is None  # they were already
    assert read(tmp_path / "one")["rope_scaling"] == found["rope_scaling"]


def test_a_model_stretched_further_stays_so(trained: Path, long_shards: list[Path], tmp_path: Path) -> None:
    extend(long_shards, trained, tmp_path / "one", stretch_to=8 * SHORT, needles=None, steps=1)
    assert read(tmp_path / "one", "config.json")["rope_scaling"]["factor"] == 8.0
    extend(long_shards, tmp_path / "one", tmp_path / "two", needles=None, steps=1)
    assert read(tmp_path / "two", "config.json")["rope_scaling"]["factor"] == 8.0


def test_biases_rest_and_weights_move(trained: Path, extended: tuple[Path, dict[str, Any]]) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in (trained, extended[0]))
    biases = [name for name in before if before[name].ndim == 1 and "bias" in name]
    assert biases
    for name in biases:
        assert torch.equal(before[name], after[name])
        assert before[name].abs().sum() > 0
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])


def test_a_second_attempt_ends_the_same_and_does_not_measure_again(
    trained: Path, long_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"sequence_length": LONG, "needles": NEEDLES, **OPTIONS, "checkpoint": {"every": 2}}
    stage = ExtendContext(**given).prepare(Context(seed=3))
    inputs = {"shards": long_shards, "model": [trained]}
    digests = []
    for attempt in ("one", "two"):
        (tmp_path / attempt).mkdir()
        if attempt == "two":  # goes on from step 4, whatever the given model's figures would be now
            monkeypatch.setattr("corpusmill.training_hooks.extend_context._once", _kept)
        stage.resume(inputs, tmp_path / attempt, tmp_path / "scratch")
        files = sorted((tmp_path / attempt).iterdir())
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
    assert digests[0] == digests[1]
    assert (tmp_path / "scratch" / MEASURED).exists()


def _kept(path: Path, make: Any) -> Any:
    assert path.exists(), "measured again"
    return read_sealed(_Measured, path, MEASURED).value


def test_nothing_held_out_and_no_needles(trained: Path, long_shards: list[Path], tmp_path: Path) -> None:
    extend(long_shards[:1], trained, tmp_path / "out", needles=None, steps=1)
    found = read(tmp_path / "out")
    assert found["by_position"] is None
    assert found["needles"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sequence_length": SHORT, "needles": None}, f"no longer than the {SHORT}"),
        ({"factor": 1.5}, "raise `factor` or `stretch_to`"),
        ({"needles": {**NEEDLES, "lengths": [8]}}, "do not fit into 8 tokens"),
        ({"needles": {**NEEDLES, "kind": "text"}}, "needs the tokenizer"),
    ],
)
def test_what_cannot_be_done_is_said(
    trained: Path, long_shards: list[Path], tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        extend(long_shards, trained, tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"needles": {**NEEDLES, "lengths": [33]}}, "33 is longer than the phase's 32"),
        ({"needles": {**NEEDLES, "depths": [0.5, 1.01]}}, "1.01 does not"),
        ({"beta_slow": 3.0, "beta_fast": 2.0}, "beta_slow 3 is above beta_fast 2"),
    ],
)
def test_what_never_can_be_done_is_said_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ExtendContext(**{"sequence_length": LONG, **options})


def test_a_haystack_needs_tokens(trained: Path, tmp_path: Path) -> None:
    rows = chain_language(1, LONG, 0)
    rows[:, 20:] = PAD
    shards = [write_documents(tmp_path / "shard-00000.arrow", rows, split="train")]
    with pytest.raises(UserError, match="fewer than 32 tokens"):
        extend(shards, trained, tmp_path / "out")


def test_training_goes_on_from_a_model(trained: Path, long_shards: list[Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"threads": 1, "batch_size": 4, "steps": 2, "context": SHORT}
    (tmp_path / "on").mkdir()
    stage = Train(**options, start_from=str(trained)).prepare(Context(seed=3))
    assert {path.name for path in stage.external_files()} == {"config.json", "model.safetensors"}
    summary = stage.run({"shards": long_shards}, tmp_path / "on")
    (tmp_path / "new").mkdir()
    fresh = Train(**options).prepare(Context(seed=3)).run({"shards": long_shards}, tmp_path / "new")
    assert summary["first_loss"] < fresh["first_loss"] - 0.1
    given = read(trained, "config.json")
    assert read(tmp_path / "on", "config.json") == given
    (tmp_path / "longer").mkdir()
    stage = Train(**options | {"context": LONG, "steps": 1}, start_from=str(trained)).prepare(Context(seed=3))
    stage.run({"shards": long_shards}, tmp_path / "longer")
    assert read(tmp_path / "longer", "config.json") == given | {"max_position_embeddings": LONG}


def test_a_model_of_another_vocabulary_is_refused(trained: Path, tmp_path: Path) -> None:
    rows = chain_language(8, LONG, 0)
    shards = [write_documents(tmp_path / "shard-00000.arrow", rows, split="train", vocab_size=300)]
    stage = Train(threads=1, steps=1, start_from=str(trained)).prepare(Context(seed=3))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="vocabulary of 64"):
        stage.run({"shards": shards}, tmp_path / "out")


def test_averaged_weights_are_judged_too(long_shards: list[Path], tmp_path: Path) -> None:
    """With a decay of 0 the average is the model; with a large one, still near the start."""
    found = {}
    for decay in (0.0, 0.99):
        folder = tmp_path / str(decay)
        folder.mkdir()
        stage = Train(threads=1, batch_size=4, steps=6, learning_rate=0.01, context=SHORT, ema=decay)
        stage.prepare(Context(seed=3)).run({"shards": long_shards}, folder)
        found[decay] = read(folder, "evaluation.json")["scores"]
    for source, score in found[0.0]["model"].items():
        assert found[0.0]["ema"][source]["nats_per_token"] == pytest.approx(score["nats_per_token"], abs=1e-5)
    assert found[0.99]["ema"]["*"]["nats_per_token"] > found[0.99]["model"]["*"]["nats_per_token"] + 0.05
    assert found[0.99]["model"] == found[0.0]["model"]
