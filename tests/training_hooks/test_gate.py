"""The gate through the stage: sound shards pass, planted faults fail with their shard and their name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from corpusmill.pipelines.contract.errors import DataError, IntegrityError, UserError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.train import Train
from tests.oracles.training_held_out import BYTES, PAD, write_documents
from tests.oracles.training_shards import chain_language

Ints = npt.NDArray[np.int64]
OPTIONS: dict[str, Any] = {  # MTP is in none of the gate's figures
    "batch_size": 8, "context": 32, "learning_rate": 0.01, "threads": 1, "steps": 24, "mtp_depth": 0,
}  # fmt: skip
STRICT = {"loss_falls": 1.0, "beats": "bigram"}


def made(folder: Path, rows: dict[str, Ints]) -> list[Path]:
    paths = []
    for number, (name, each) in enumerate(sorted(rows.items())):
        split = "held_out" if name.startswith("heldout") else "train"
        paths.append(write_documents(folder / f"{name}.arrow", each, first=1000 * number, split=split))
    return paths


@pytest.fixture
def rows() -> dict[str, Ints]:
    found = {
        "shard-00000": chain_language(60, 64, 0),
        "shard-00001": chain_language(60, 64, 1),
        "heldout-00000": chain_language(6, 64, 2),
    }
    found["shard-00001"][:, 50:] = PAD
    return found


def run(paths: list[Path], folder: Path, **options: Any) -> dict[str, Any]:
    folder.mkdir()
    stage = Train(**{**OPTIONS, **options}).prepare(Context(seed=3))
    return stage.run({"shards": paths}, folder)


def test_sound_shards_pass_the_gate(rows: dict[str, Ints], tmp_path: Path) -> None:
    """Alone a word costs ln 56 in nats; after another, ln 2. 7,000 tokens show a bigram most of it."""
    options = {"evaluate": {"every": 12}, "require": {"loss_falls": 1.0, "beats": "unigram"}}
    summary = run(made(tmp_path, rows), tmp_path / "out", **options)
    bits = summary["bits_per_byte"]
    assert math.log2(2) / BYTES < bits["bigram"] < bits["unigram"]
    assert bits["unigram"] == pytest.approx(math.log2(56) / BYTES, rel=0.02)
    assert bits["model"] < 0.4 * bits["unigram"]
    assert summary["shard_faults"] == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["held_out"] == {"documents": 6, "tokens": 6 * 64, "shards": 1}
    assert {name: held["*"]["bits_per_byte"] for name, held in found["scores"].items()} == bits
    assert set(found["scores"]["model"]) == {"*", "a", "b"}
    assert found["baselines"]["tokens"] == 60 * 64 + 60 * 50
    assert [part["from"] for part in found["by_position"]] == [1, 2, 3, 5, 9, 17]
    assert found["by_position"][-1]["nats_per_token"] < 2.0
    assert found["falls"]["a"][0] - found["falls"]["a"][1] > 1.0
    assert found["require"]["beats"] == "unigram"
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    looks = {line["step"]: line["held_out"] for line in lines if "held_out" in line}
    assert set(looks) == {12, 24}
    assert looks[24] == {s: one["bits_per_byte"] for s, one in found["scores"]["model"].items()}
    assert looks[24]["*"] < looks[12]["*"]


def test_looking_changes_nothing(rows: dict[str, Ints], tmp_path: Path) -> None:
    paths = made(tmp_path, rows)
    run(paths, tmp_path / "one", steps=3)
    run(paths, tmp_path / "two", steps=3, evaluate={"every": 1, "tokens": 1})
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    judged = [(tmp_path / name / "evaluation.json").read_bytes() for name in ("one", "two")]
    assert judged[0] == judged[1]


def test_too_few_steps_do_not_pass(rows: dict[str, Ints], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has not learnt") as caught:
        run(made(tmp_path, rows), tmp_path / "out", steps=2, require=STRICT)
    said = str(caught.value)
    assert "the loss of a went from" in said
    assert "held-out documents of b" in said
    assert "not below the bigram's" in said


def test_held_out_documents_are_asked_for(rows: dict[str, Ints], tmp_path: Path) -> None:
    del rows["heldout-00000"]
    paths = made(tmp_path, rows)
    with pytest.raises(DataError, match="raise `held_out` under `pack`"):
        run(paths, tmp_path / "out", steps=1, require={"loss_falls": None})
    summary = run(paths, tmp_path / "free", steps=1, require={"loss_falls": None, "beats": None})
    assert summary["bits_per_byte"] is None
    assert json.loads((tmp_path / "free" / "evaluation.json").read_text())["scores"] is None


def test_no_loader_takes_what_is_held_out(rows: dict[str, Ints], tmp_path: Path) -> None:
    paths = made(tmp_path, rows)
    with pytest.raises(IntegrityError, match=r"heldout-00000\.arrow holds documents that no model"):
        ShardLoader(paths, batch_size=1, seed=0)


def shuffled(rows: Ints) -> Ints:
    draw = np.random.default_rng(0)
    for row in rows:
        draw.shuffle(row)
    return rows


def beyond(rows: Ints) -> Ints:
    rows[7, 3] = 64
    return rows


def repeated(rows: Ints) -> Ints:
    rows[:] = rows[:1]
    return rows


def padding(rows: Ints) -> Ints:
    rows[::4] = PAD
    return rows


def constant(rows: Ints) -> Ints:
    rows[:] = np.arange(8, 8 + len(rows))[:, None] % 56 + 8
    return rows


FAULTS: dict[str, tuple[Callable[[Ints], Ints], str]] = {
    "shuffled": (shuffled, "shuffled tokens: a token tells"),
    "beyond": (beyond, "wrong vocabulary: row 7 holds id 64"),
    "repeated": (repeated, "repeated rows: 59 of 60 rows"),
    "padding": (padding, "all padding: 15 of 60 rows"),
    "constant": (constant, "constant tokens: 60 of 60 rows"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_stops_the_run_before_it_trains(
    name: str, rows: dict[str, Ints], tmp_path: Path
) -> None:
    plant, said = FAULTS[name]
    rows["shard-00000"] = plant(rows["shard-00000"])
    with pytest.raises(DataError, match=rf"shard-00000\.arrow: {said}"):
        run(made(tmp_path, rows), tmp_path / "out", require={})
    assert not list((tmp_path / "out").iterdir())


def test_a_shard_cut_short_or_of_another_tokenizer(rows: dict[str, Ints], tmp_path: Path) -> None:
    paths = made(tmp_path, rows)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-200])
    with pytest.raises(DataError, match=r"shard-00000\.arrow: damaged: .*not a whole token shard"):
        run(paths, tmp_path / "cut", require={})
    write_documents(paths[1], rows["shard-00000"], tokenizer="f" * 64, split="train")
    with pytest.raises(DataError, match=r"shard-00000\.arrow: wrong vocabulary: encoded by tokenizer ffff"):
        run(paths, tmp_path / "other", require={})


@pytest.mark.parametrize(
    ("plant", "said"), [(shuffled, "the loss of a went"), (constant, "not below the unigram's")]
)
def test_learning_tells_what_the_looks_would_not(
    plant: Callable[[Ints], Ints], said: str, rows: dict[str, Ints], tmp_path: Path
) -> None:
    """With the check of shards off: what has no order is not learnt, what has no content does not help."""
    for seed, name in enumerate(("shard-00000", "shard-00001")):
        rows[name] = plant(chain_language(60, 64, seed))
    with pytest.raises(DataError, match=said):
        run(made(tmp_path, rows), tmp_path / "out", require={"shards": False, "loss_falls": 1.0})


def test_one_source_that_is_not_learnt_is_named(rows: dict[str, Ints], tmp_path: Path) -> None:
    """Every second row is of source `a`."""
    for name in ("shard-00000", "shard-00001"):
        shuffled(rows[name][::2])
    with pytest.raises(DataError, match="the loss of a went") as caught:
        run(
            made(tmp_path, rows),
            tmp_path / "out",
            require={"shards": False, "loss_falls": 1.0, "beats": None},
        )
    assert "the loss of b" not in str(caught.value)


@pytest.mark.parametrize("require", [None, {"shards": False, "loss_falls": None, "beats": None}])
def test_a_weight_that_is_no_number_fails_every_run(
    require: dict[str, Any] | None, rows: dict[str, Ints], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpusmill.training_hooks.model import initialise

    sound = initialise.initialise

    def broken(model: Any, *arguments: Any) -> None:
        sound(model, *arguments)
        model.embed_tokens.weight.data[20, 0] = math.nan

    monkeypatch.setattr(initialise, "initialise", broken)
    with pytest.raises(UserError, match=r"step \d: loss nan"):
        run(made(tmp_path, rows), tmp_path / "out", require=require, steps=5)
    assert not (tmp_path / "out" / "model.safetensors").exists()
