from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UserError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.options import Balance, usual_gamma
from corpusmill.training_hooks.trainer.schedule import Schedule
from tests.oracles.training_shards import PAD, Writer, chain_language

OPTIONS: dict[str, Any] = {"batch_size": 8, "context": 32, "learning_rate": 0.01, "threads": 1}


@pytest.fixture
def shards(write: Writer) -> list[Path]:
    first, second = chain_language(60, 64, 0), chain_language(60, 64, 1)
    second[:, 50:] = PAD
    return [write("0.arrow", first), write("1.arrow", second)]


def run(shards: list[Path], folder: Path, seed: int = 3, **options: Any) -> dict[str, Any]:
    folder.mkdir()
    stage = Train(**{**OPTIONS, **options}).prepare(Context(seed=seed))
    return stage.run({"shards": shards}, folder)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_learns_what_unigrams_cannot(shards: list[Path], tmp_path: Path) -> None:
    """The chain's words are near uniform alone (ln 56 = 4.03) and worth ln 2 in context."""
    summary = run(shards, tmp_path / "out", steps=40)
    assert summary["ln_vocab"] == math.log(64)
    assert 3.8 < summary["unigram_entropy"] < math.log(56)
    assert summary["first_loss"] > 4.0
    assert summary["last_loss"] < 1.2
    records = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == list(range(1, 41))
    assert summary["last_loss"] == pytest.approx(np.mean([r["loss"] for r in records[-2:]]))
    assert summary["tokens"] == records[-1]["tokens"]
    assert summary["first_loss"] == records[0]["loss"]
    assert 40 * 8 * 32 * 0.7 < summary["tokens"] < 40 * 8 * 32  # a tenth or so is padding
    assert records[-1]["mtp_loss"] < records[0]["mtp_loss"] - 0.5
    assert set(records[0]["loss_by_source"]) == {"a", "b"}
    assert {"balance_loss", "gradient_norm", "learning_rate", "max_expert_violation"} <= set(records[0])
    for record in records:
        experts = record["experts"]
        assert record["max_expert_violation"] == max(experts["max_violation"])
        for name in ("max_violation", "mean_violation", "entropy"):
            assert len(experts[name]) == 3  # two mixture layers and MTP's
        assert all(0 < value <= 1 for value in experts["entropy"])
    assert (records[0]["gamma"], records[0]["mtp_weight"]) == (usual_gamma(40), 0.3)
    assert records[-1]["learning_rate"] == pytest.approx(0.001)


def test_repeats_bit_for_bit(shards: list[Path], tmp_path: Path) -> None:
    """Again in this process after other use of torch's generator, and in a fresh one."""
    run(shards, tmp_path / "one", steps=2, batch_size=2, threads=2)
    torch.manual_seed(99)
    torch.rand(7)
    run(shards, tmp_path / "two", steps=2, batch_size=2, threads=2)
    (tmp_path / "three").mkdir()
    code = f"""
from pathlib import Path
from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.train import Train
stage = Train(**{ {**OPTIONS, "steps": 2, "batch_size": 2, "threads": 2}!r}).prepare(Context(seed=3))
stage.run({{"shards": [Path(p) for p in {[str(p) for p in shards]!r}]}}, Path({str(tmp_path / "three")!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") == digests(tmp_path / "three")
    assert set(digests(tmp_path / "one")) == {
        "model.safetensors",
        "config.json",
        "metrics.jsonl",
        "routing.json",
        "evaluation.json",
    }


def test_seed_changes_the_run(shards: list[Path], tmp_path: Path) -> None:
    run(shards, tmp_path / "one", steps=2)
    run(shards, tmp_path / "two", steps=2, seed=4)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one["config.json"] == two["config.json"]
    assert one["metrics.jsonl"] != two["metrics.jsonl"]


def test_process_settings_come_back(shards: list[Path], tmp_path: Path) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    run(shards, tmp_path / "out", steps=1, threads=3)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_files_hold_the_trained_model(shards: list[Path], tmp_path: Path) -> None:
    summary = run(shards, tmp_path / "out", steps=3, balance={"gamma": 0.25, "alpha": 0.0})
    weights = load_file(tmp_path / "out" / "model.safetensors")
    model = Transformer(preset("v3-tiny", 64))
    model.load_state_dict(weights)
    assert summary["parameters"] == sum(p.numel() for p in model.parameters())
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["kv_lora_rank"], config["vocab_size"]) == ("deepseek_v3", 64, 64)
    for gate in model.gates():  # three updates of +-0.25: the bias of MTP's layer moves too
        moved = gate.e_score_correction_bias.abs()
        assert moved.max() > 0
        assert set((moved / 0.25).tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_routing_is_counted_by_source(shards: list[Path], tmp_path: Path) -> None:
    """Two experts for every real token among the inputs of the last step, layer by layer."""
    run(shards, tmp_path / "out", steps=3)
    routing = json.loads((tmp_path / "out" / "routing.json").read_text())
    assert routing["steps"] == [3, 3]
    assert routing["sources"] == ["a", "b"]
    assert routing["layers"] == ["layers.1", "layers.2", "mtp.0"]
    counts = np.array(routing["counts"])
    assert counts.shape == (3, 2, 8)
    assert counts.sum((1, 2))[0] == counts.sum((1, 2))[1]
    assert 8 * 32 * 2 * 0.7 < counts[0].sum() <= 8 * 32 * 2
    assert (counts.sum(2) > 0).all()


def test_the_phases_of_the_report(shards: list[Path], tmp_path: Path) -> None:
    """A batch that grows, lambda that falls, gamma that ends, and a loss that falls all the same."""
    options: dict[str, Any] = {"schedule": "report", "steps": 24, "batch_size": 10, "micro_batch_size": 6}
    summary = run(shards, tmp_path / "out", context=16, ema=0.9, moments="bf16", recompute=True, **options)
    records = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    sizes = [r["sequences"] for r in records]
    assert sizes[0] == 2
    assert sizes == sorted(sizes)
    assert sizes[4:] == [10] * 20
    assert sorted({r["mtp_weight"] for r in records}) == pytest.approx([0.1, 0.3])
    assert [r["gamma"] for r in records[:2] + records[-1:]] == [usual_gamma(24)] * 2 + [0.0]
    rates = [r["learning_rate"] for r in records]
    assert rates[12] == 0.01
    assert rates[-1] == pytest.approx(0.01 * 7.3e-6 / 2.2e-4)
    assert summary["last_loss"] < summary["first_loss"] - 1
    averaged, last = (load_file(tmp_path / "out" / name) for name in ("ema.safetensors", "model.safetensors"))
    assert averaged.keys() == last.keys()
    assert not torch.equal(averaged["lm_head.weight"], last["lm_head.weight"])
    torch.testing.assert_close(averaged["lm_head.weight"], last["lm_head.weight"], rtol=0, atol=0.05)


def test_balance_may_be_switched_off_but_not_by_accident(shards: list[Path], tmp_path: Path) -> None:
    run(shards, tmp_path / "off", steps=2, balance="off")
    weights = load_file(tmp_path / "off" / "model.safetensors")
    assert all(not tensor.any() for name, tensor in weights.items() if "correction_bias" in name)
    records = [json.loads(line) for line in (tmp_path / "off" / "metrics.jsonl").read_text().splitlines()]
    assert records[0]["gamma"] == 0.0
    with pytest.raises(ValidationError, match="to mean it, write `balance: off`"):
        Train.model_validate({"balance": {"gamma": 0, "alpha": 0}})
    assert isinstance(Train(balance=Balance(gamma=0)).balance, Balance)
    assert Balance().alpha == 1e-4


def test_alpha_reaches_the_gradient(shards: list[Path], tmp_path: Path) -> None:
    """The second step differs with alpha, the first loss does not."""
    losses = []
    for alpha in (0.0, 1e-4, 0.1):
        folder = tmp_path / f"alpha-{alpha}"
        run(shards, folder, steps=2, balance={"alpha": alpha}, warmup=0)
        losses.append([json.loads(x)["loss"] for x in (folder / "metrics.jsonl").read_text().splitlines()])
    assert losses[0][0] == losses[1][0] == losses[2][0]
    assert len({two for _, two in losses}) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_missing_gpu_is_told(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"device is cuda, but torch .* write `device: cpu`"):
        run(shards, tmp_path / "out", steps=1, device="cuda")


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"precision": "fp8", "context": 16, "batch_size": 2},
        {"mtp_depth": 0},
        {"mtp_depth": 2},
        {"context": None},
    ],
)
def test_options_run(shards: list[Path], tmp_path: Path, options: dict[str, Any]) -> None:
    summary = run(shards, tmp_path / "out", steps=5, warmup=0, **options)
    assert summary["last_loss"] < summary["first_loss"] - 0.04


def test_bf16_follows_fp32(shards: list[Path], tmp_path: Path) -> None:
    high = run(shards, tmp_path / "high", steps=5)
    low = run(shards, tmp_path / "low", steps=5, precision="bf16")
    assert low["first_loss"] == pytest.approx(high["first_loss"], rel=5e-3)
    assert low["last_loss"] == pytest.approx(high["last_loss"], rel=2e-2)
    assert digests(tmp_path / "high") != digests(tmp_path / "low")


def test_a_foreign_shard_or_tokenizer_is_refused(shards: list[Path], write: Writer, tmp_path: Path) -> None:
    foreign = write("foreign.arrow", chain_language(4, 64, 2), vocab_size=128)
    with pytest.raises(IntegrityError, match=r"foreign\.arrow has vocab_size 128"):
        run([*shards, foreign], tmp_path / "out", steps=1)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    stage = Train(steps=1, batch_size=1, context=8, threads=1)
    with pytest.raises(IntegrityError, match="encoded by tokenizer"):
        stage.run({"shards": shards, "tokenizer": [tmp_path / "tokenizer"]}, tmp_path)
    own = write("own.arrow", chain_language(4, 64, 2), tokenizer=digest)
    stage.run({"shards": [own], "tokenizer": [tmp_path / "tokenizer"]}, tmp_path)


def test_a_diverged_run_stops(shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule, "learning_rate", lambda self, tokens: 1e30)
    with pytest.raises(CorpusmillError, match="lower the learning rate"):
        run(shards, tmp_path / "out", steps=20)


def test_without_torch_the_cure_is_named(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"torch, not installed here: pip install corpusmill\[train\]"):
        run(shards, tmp_path / "out", steps=1)


def test_validating_a_recipe_imports_nothing_heavy() -> None:
    code = (
        "import sys; from corpusmill.training_hooks.train import Train; Train(steps=3); "
        "print([m for m in ('torch', 'numpy.linalg', 'pyarrow', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "v3"},
        {"steps": 0},
        {"learning_rate": 0},
        {"epochs": 1},
        {"balance": {"beta": 1}},
        {"threads": 0},
        {"schedule": "linear"},
        {"device": "auto"},
        {"ema": 1.0},
        {"checkpoint": {"every": 0}},
        {"balance": "no"},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Train(**options)


def test_phases_are_trained_on_in_turn_in_windows_of_one_length(write: Writer, tmp_path: Path) -> None:
    late = {"phase": {"number": 1, "name": "late"}, "sources": ["c", "d"]}
    paths = [
        write("late.arrow", chain_language(20, 64, 1), **late),
        write("early.arrow", chain_language(24, 32, 0), phase={"number": 0, "name": "early"}),
    ]
    run(paths, tmp_path / "out", steps=9, context=None, require=None)
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    found = ["".join(sorted(json.loads(line)["loss_by_source"])) for line in lines]
    # 24 windows of 32 tokens, 20 rows of two such windows, and the next epoch.
    assert found == ["ab"] * 3 + ["cd"] * 5 + ["ab"]
    with pytest.raises(UserError, match=r"context must lie in 1\.\.32"):
        run(paths, tmp_path / "longer", steps=2, context=64)
