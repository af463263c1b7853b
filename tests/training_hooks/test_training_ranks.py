"""Ranks train as one process does: losses, gradients, weights, files; and go on in other layouts.

All cases are done by one gang of four processes, started once.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from corpusmill.pipelines.contract.context import Context
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.training_hooks.extend_context import ExtendContext
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.loop import Trained
from corpusmill.training_hooks.trainer.outcome import write_weights
from tests.oracles.packed_texts import packed_texts, real_texts
from tests.oracles.tokenizer_texts import DATA, made_texts
from tests.oracles.training_gang import (
    RANKS,
    Ranks,
    checkpoint,
    digests,
    flat,
    follows,
    gang,
    in_one_process,
    lines,
    moments,
    off,
    worst,
)
from tests.warm import Warm

STEPS = 10
OPTIONS: dict[str, Any] = {  # 2 sequences a step at first, so that some of four ranks have padding alone
    "steps": STEPS, "batch_size": 8, "micro_batch_size": 4, "context": 16, "learning_rate": 0.003,
    "threads": 1, "schedule": "report", "ema": 0.9, "peak_tflops": 1.0, "evaluate": {"every": 5},
    "checkpoint": {"every": 5, "keep": 100},
}  # fmt: skip
LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {  # pipeline x experts x data
    "1x1x2": (2, {}),
    "1x2x1": (2, {"experts": 2}),
    "1x4x1": (4, {"experts": 4, "nodes": 2}),
    "1x2x2": (4, {"experts": 2}),
    "1x1x4": (4, {}),
    "2x1x1": (2, {"pipeline": 2, "schedule": "zb1p"}),
    "4x1x1": (4, {"pipeline": 4, "schedule": "dualpipe"}),
    "2x2x1": (4, {"pipeline": 2, "experts": 2, "schedule": "dualpipev"}),
}
REAL_LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    **{name: LAYOUTS[name] for name in ("1x2x1", "1x2x2", "2x1x1", "4x1x1", "2x2x1")},
    "1x4x1": (4, {"experts": 4}),
}
SEEDS = (1, 3)  # which texts are drawn, and the order of rows
REAL_CASES = [(name, 1) for name in REAL_LAYOUTS] + [("1x2x2", 3), ("2x2x1", 3)]
REAL: dict[str, Any] = {"sums": "fp64", "ema": None, "evaluate": {}, "checkpoint": {"every": STEPS}}
LONGER: dict[str, Any] = {  # a phase of rows of 32 tokens after one of 16
    "sequence_length": 32, "steps": 6, "batch_size": 8, "micro_batch_size": 4, "threads": 1,
    "peak_tflops": 1.0, "sums": "fp64",
    "needles": {"kind": "tokens", "trials": 1, "lengths": [24], "depths": [0.5]},
}  # fmt: skip
LOW: dict[str, Any] = {"steps": 3, "precision": "bf16", "moments": "bf16", "recompute": True}
# Four layers, for as many stages, and little to compute.
CONFIG = dataclasses.replace(
    preset("v3-tiny", 400, 1), hidden_size=64, num_hidden_layers=4, intermediate_size=96, q_lora_rank=32,
    kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, moe_intermediate_size=48,
    max_position_embeddings=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the model that all trainings start from."""
    folder = tmp_path_factory.mktemp("started")
    model = Transformer(CONFIG)
    initialise(model, 1, CONFIG.initial_std)
    write_weights(folder, model, Trained([], 0, None, []))
    return str(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = packed_texts(tmp_path_factory.mktemp("shards"), made_texts(80), 64)
    assert {open_shard(path).model_vocab_size for path in paths} == {CONFIG.vocab_size}
    return paths


def alone(
    shards: list[Path],
    started: str,
    folder: Path,
    scratch: Path,
    stop_after: int | None = None,
    seed: int = 3,
    **changed: Any,
) -> dict[str, Any]:
    """The summary of one process; nothing where it was stopped after so many steps."""
    stage = Train(**(OPTIONS | changed), start_from=Path(started)).prepare(Context(seed=seed))
    return in_one_process(stage, {"shards": shards}, folder, scratch, stop_after)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """Shards of real texts, by the seed that drew them; none where there are no real data."""
    if not (DATA / "MANIFEST.tsv").exists():
        return {}
    folder = tmp_path_factory.mktemp("real")
    found = {}
    for seed in SEEDS:
        (folder / str(seed)).mkdir()
        found[seed] = packed_texts(folder / str(seed), real_texts(DATA, 80, seed), 64)
    return found


@pytest.fixture(scope="module")
def one(shards: list[Path], started: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output, and scratch files, of one process."""
    folder = tmp_path_factory.mktemp("one")
    torch.set_num_threads(1)
    summary = alone(shards, started, folder / "out", folder / "scratch")
    (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    alone(shards, started, folder / "stopped", folder / "stopped-scratch", stop_after=4)
    return folder


@pytest.fixture(scope="module")
def ranks(
    shards: list[Path],
    real: dict[int, list[Path]],
    started: str,
    one: Path,
    training: Warm,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ranks:
    folder = tmp_path_factory.mktemp("ranks")
    cases: list[dict[str, Any]] = []

    def case(name: str, ranks: int, parallel: dict[str, Any], scratch: str = "", **more: Any) -> None:
        place = f"{scratch or name}.scratch"
        (folder / name).mkdir()
        (folder / place).mkdir(exist_ok=True)
        options = {"parallel": parallel} | more.pop("changed", {})
        if "model" not in more:
            options = OPTIONS | {"start_from": started} | options
        paths = [str(path) for path in more.pop("shards", shards)]
        made = {"name": name, "ranks": ranks, "options": options, "scratch": place, "shards": paths}
        cases.append(made | {"seed": 3} | more)

    # Those of all ranks first, which wait for one another.
    for name, (number, parallel) in sorted(LAYOUTS.items(), key=lambda layout: -layout[1][0]):
        case(name, number, parallel)
    for name, seed in REAL_CASES if real else ():
        number, parallel = REAL_LAYOUTS[name]
        case(f"real-{name}-{seed}", number, parallel, changed=REAL, seed=seed, shards=real[seed])
    case("stopped", 2, {"experts": 2}, "same", stop_after=7)
    case("same", 2, {"experts": 2}, "same")
    (one / "stopped-scratch").rename(folder / "grows.scratch")
    case("grows-2", 2, {}, "grows", stop_after=6)
    case("grows-4", 4, {}, "grows")
    case("shrinks-4", 4, LAYOUTS["2x2x1"][1], "shrinks", stop_after=3)
    case("shrinks-2", 2, {}, "shrinks", stop_after=5)
    phase = {"changed": LONGER, "model": str(one / "out")}
    case("longer-4", 4, LAYOUTS["2x2x1"][1], "longer", stop_after=3, **phase)
    case("longer-2", 2, {}, "longer", **phase)
    case("low", 4, LAYOUTS["2x2x1"][1], changed=LOW)
    case("uneven", 3, {"experts": 3})
    case("unfilled", 2, {"pipeline": 2, "schedule": "dualpipe"}, changed={"batch_size": 3})
    case("dies", 2, {}, dies_at=10)
    return gang(training, folder, cases)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_trains_as_one_process(layout: str, one: Path, ranks: Ranks) -> None:
    """Every step's losses, gradient norm and loads, weights, their average, and the average of gradients."""
    follows(lines(ranks.folder / layout), lines(one / "out"), rel=1e-6)
    mine, theirs = ranks.folder / f"{layout}.scratch", one / "scratch"
    for step in (5, STEPS):
        for name in ("model", "ema"):
            assert worst(checkpoint(mine, step, name), checkpoint(theirs, step, name)) < 1e-6
        # First moments are sums of gradients, second ones of their squares: of all together, and of each
        # tensor, some of which have gradients that nearly cancel out.
        for kind in ("exp_avg", "exp_avg_sq"):
            found, wanted = moments(mine, step, kind), moments(theirs, step, kind)
            assert off(flat(found), flat(wanted)) < 1e-6
            assert worst(found, wanted) < 5e-6


@pytest.fixture(scope="module")
def one_on_real(
    real: dict[int, list[Path]], started: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Output of one process, beside which it left its scratch files."""
    torch.set_num_threads(1)
    found = {}
    for seed, paths in real.items():
        found[seed] = tmp_path_factory.mktemp("one-on-real") / "out"
        alone(paths, started, found[seed], found[seed].with_name("scratch"), seed=seed, **REAL)
    return found


@pytest.mark.parametrize(("layout", "seed"), REAL_CASES)
def test_sums_in_fp64_make_layouts_one_on_real_texts(
    layout: str, seed: int, one_on_real: dict[int, Path], ranks: Ranks
) -> None:
    """Losses, gradients and weights of 10 steps to 1e-6. Nearly always they are the same bits; a number near
    the middle between two of FP32 may be rounded to the other."""
    if not one_on_real:
        pytest.skip(f"no corpora in {DATA}; set CORPUSMILL_DATA")
    case = f"real-{layout}-{seed}"
    for mine, theirs in zip(lines(ranks.folder / case), lines(one_on_real[seed]), strict=True):
        assert mine["experts"] == theirs["experts"]
        for name in ("loss", "mtp_loss", "balance_loss", "loss_by_source", "gradient_norm"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-6), (mine["step"], name)
    places = ranks.folder / f"{case}.scratch", one_on_real[seed].with_name("scratch")
    found, wanted = (checkpoint(place, STEPS, "model") for place in places)
    assert worst(found, wanted) < 1e-6
    for kind in ("exp_avg", "exp_avg_sq"):
        assert off(*(flat(moments(place, STEPS, kind)) for place in places)) < 1e-6


def test_most_layouts_end_with_the_same_bits_on_real_texts(
    one_on_real: dict[int, Path], ranks: Ranks
) -> None:
    if not one_on_real:
        pytest.skip(f"no corpora in {DATA}; set CORPUSMILL_DATA")
    weights = "model.safetensors"
    same = [
        (ranks.folder / f"real-{layout}-{seed}" / weights).read_bytes()
        == (one_on_real[seed] / weights).read_bytes()
        for layout, seed in REAL_CASES
    ]
    assert sum(same) > len(same) / 2, same


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_files_are_those_of_one_process(layout: str, one: Path, ranks: Ranks) -> None:
    out, wanted = ranks.folder / layout, one / "out"
    assert {path.name for path in out.iterdir()} == {path.name for path in wanted.iterdir()}
    for name in ("config.json", "routing.json"):
        assert (out / name).read_bytes() == (wanted / name).read_bytes()
    for name in ("model.safetensors", "ema.safetensors"):
        assert worst(load_file(out / name), load_file(wanted / name)) < 1e-6
    mine, theirs = (json.loads((folder / "evaluation.json").read_text("utf-8")) for folder in (out, wanted))
    assert mine["scores"]["model"]["*"]["bits_per_byte"] == pytest.approx(
        theirs["scores"]["model"]["*"]["bits_per_byte"], rel=1e-6
    )
    number, parallel = LAYOUTS[layout]
    sizes = {name: parallel.get(name, 1) for name in ("pipeline", "experts")}
    sizes["data"] = number // (sizes["pipeline"] * sizes["experts"])
    told = ranks.told(layout)["summary"]
    summary = json.loads((one / "summary.json").read_text("utf-8"))
    assert told.pop("layouts") == [{"from_step": 1, **sizes}]
    used = told.pop("pipeline", None)
    assert (used is None) == ("pipeline" not in parallel)
    if used is not None:
        assert (used["schedule"], used["ranks"]) == (parallel["schedule"], parallel["pipeline"])
    assert told.keys() == summary.keys()
    assert told["last_loss"] == pytest.approx(summary["last_loss"], rel=1e-6)
    assert all(ranks.told(layout, rank)["summary"] == {} for rank in range(1, number))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_optimisers_state_is_divided(layout: str, one: Path, ranks: Ranks) -> None:
    """Every byte of it is on one rank. Those that have the same weights have as much, but for buckets' last
    places; the file of a rank is as large."""
    tensors = checkpoint(one / "scratch", STEPS, "optimiser").values()
    whole = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    number, parallel = LAYOUTS[layout]
    held = [ranks.told(layout, rank)["bytes"][-1] for rank in range(number)]
    assert sum(held) == whole
    if "pipeline" not in parallel:
        assert max(held) - min(held) <= 64
    folder = ranks.folder / f"{layout}.scratch" / "checkpoints" / f"step-{STEPS:08d}"
    for rank in range(number):
        size = (folder / f"optimiser-{rank:05d}.safetensors").stat().st_size
        assert held[rank] < size < held[rank] + 50_000


def test_the_same_layout_goes_on_to_the_same_bytes(ranks: Ranks) -> None:
    """One rank is asked to stop: all do, after the same step."""
    for rank in range(2):
        error = ranks.told("stopped", rank)["error"]
        assert error.startswith(
            "Interrupted: training was stopped in step 8: its state after 7 steps is kept"
        )
    assert digests(ranks.folder / "same") == digests(ranks.folder / "1x2x1")


def test_other_layouts_go_on_and_every_row_is_read_once(
    ranks: Ranks, one: Path, shards: list[Path], started: str, tmp_path: Path
) -> None:
    """1, 2 and 4 ranks; and 4 in a pipeline with spread experts, 2 with data apart, and 1."""
    scratch = ranks.folder / "shrinks.scratch"
    summary = alone(shards, started, tmp_path / "last", scratch)
    for folder in (ranks.folder / "grows-4", tmp_path / "last"):
        follows(lines(folder), lines(one / "out"), rel=2e-6)
        assert (
            worst(load_file(folder / "model.safetensors"), load_file(one / "out" / "model.safetensors"))
            < 2e-6
        )
        assert worst(load_file(folder / "ema.safetensors"), load_file(one / "out" / "ema.safetensors")) < 2e-6
        assert (folder / "routing.json").read_bytes() == (one / "out" / "routing.json").read_bytes()
    assert summary["layouts"] == [
        {"from_step": 1, "pipeline": 2, "data": 1, "experts": 2},
        {"from_step": 4, "pipeline": 1, "data": 2, "experts": 1},
        {"from_step": 9, "pipeline": 1, "data": 1, "experts": 1},
    ]
    counts = [line["sequences"] for line in lines(one / "out")]
    read: dict[str, list[int]] = {}
    for case, readers in (("grows-2", 2), ("grows-4", 4), ("shrinks-4", 2), ("shrinks-2", 2)):
        calls = [call for rank in range(readers) for call in ranks.told(case, rank)["rows"]]
        read[case] = sorted(row for first, count in calls for row in range(first, first + count))
    ends = [sum(counts[:step]) for step in (4, 8, STEPS)]
    assert list(range(ends[0])) + read["grows-2"] + read["grows-4"] == list(range(ends[2]))
    assert read["shrinks-4"] + read["shrinks-2"] == list(range(ends[1]))
    for pair in ((0, 2), (1, 3)):  # the same rows on both ranks of a pipeline
        assert len({json.dumps(ranks.told("shrinks-4", rank)["rows"]) for rank in pair}) == 1


def test_a_phase_of_longer_context_goes_on_in_another_layout(
    ranks: Ranks, one: Path, shards: list[Path], tmp_path: Path
) -> None:
    """Stopped on four ranks, done on two; rank 0 alone measures, what it measured before being kept."""
    stage = ExtendContext(**LONGER).prepare(Context(seed=3))
    out, inputs = tmp_path / "out", {"shards": shards, "model": [one / "out"]}
    summary = in_one_process(stage, inputs, out, tmp_path / "scratch")
    found = ranks.folder / "longer-2"
    assert {path.name for path in found.iterdir()} == {path.name for path in out.iterdir()}
    told = ranks.told("longer-2")["summary"]
    assert [layout["from_step"] for layout in told["layouts"]] == [1, 4]
    assert (told["context"], told["factor"]) == (summary["context"], summary["factor"]) == (32, 2.0)
    assert ranks.told("longer-2", 1)["summary"] == {}
    for mine, theirs in zip(lines(found), lines(out), strict=True):
        for name in ("loss", "mtp_loss", "gradient_norm"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-6)
    assert worst(load_file(found / "model.safetensors"), load_file(out / "model.safetensors")) < 1e-6
    assert (found / "config.json").read_bytes() == (out / "config.json").read_bytes()
    mine, theirs = (json.loads((folder / "long_context.json").read_text("utf-8")) for folder in (found, out))
    assert mine["context"] == theirs["context"]
    for when in ("before", "stretched", "after"):
        losses = [[part["nats_per_token"] for part in m["by_position"][when]] for m in (mine, theirs)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_rank_that_dies_in_a_checkpoint_leaves_the_one_before(ranks: Ranks) -> None:
    folder = ranks.folder / "dies.scratch" / "checkpoints"
    assert "RuntimeError" in ranks.told("dies")["error"]
    assert [path.name for path in folder.glob("step-*")] == ["step-00000005"]
    (unfinished,) = folder.glob(".writing-*")
    assert not (unfinished / "state.json").exists()


def test_a_shared_update_has_the_bits_of_a_whole_one(ranks: Ranks) -> None:
    for rank in range(2):
        found = ranks.told("updates", rank)
        assert len(found) == 3
        assert all(found.values()), found


def test_ranks_that_have_the_same_gpu_all_learn_it(ranks: Ranks) -> None:
    for rank in range(RANKS):
        own, shared = ranks.told("gpus", rank)["told"]
        assert own == ""
        assert shared.startswith("train: ranks 2 and 3 have the same GPU: each needs one of its own")


def test_what_does_not_divide_is_refused_with_the_cure(ranks: Ranks) -> None:
    for rank in range(3):
        error = ranks.told("uneven", rank)["error"]
        assert error.startswith("UserError: 8 experts of a layer do not divide among 3 ranks")
        assert error.endswith("set `parallel.experts` to a divisor of 8")
    for rank in range(2):
        error = ranks.told("unfilled", rank)["error"]
        assert error.startswith("UserError: 3 sequences a rank do not fill 4 micro-batches")
        assert "take larger batches, fewer pipeline ranks" in error


def test_low_precision_and_recomputing_work_in_parts(
    ranks: Ranks, shards: list[Path], started: str, tmp_path: Path
) -> None:
    """Sums in another order are rounded to other numbers of BF16; moments are kept in it."""
    alone(shards, started, tmp_path / "out", tmp_path / "scratch", **LOW)
    for mine, theirs in zip(lines(ranks.folder / "low"), lines(tmp_path / "out"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-3)
        assert mine["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=2e-2)
    scratch = ranks.folder / "low.scratch" / "checkpoints"
    assert not list(scratch.iterdir())  # none was due
    whole = ranks.told("1x1x2")["bytes"][-1] * 2
    assert sum(ranks.told("low", rank)["bytes"][-1] for rank in range(4)) == whole // 2
