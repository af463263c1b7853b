"""Experts spread over two processes give the losses, gradients and weights of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from corpusmill.training_hooks.distributed.exchange import exchange
from corpusmill.training_hooks.distributed.experts import spread_experts
from corpusmill.training_hooks.distributed.group import local_group
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import apply
from tests.oracles.expert_parallel_ranks import CONFIG, STEPS, nodes, train

ROOT = Path(__file__).parents[2]
RANKS = 2
LIMIT = 300  # seconds that two processes may take before they are ended


@pytest.fixture(scope="module")
def alone() -> tuple[list[float], dict[str, Tensor]]:
    torch.set_num_threads(1)
    return train(None)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """What the ranks told, and the tensors of all: experts put together, others once and alike."""
    folder = tmp_path_factory.mktemp("ranks")
    env = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.oracles.expert_parallel_ranks"]
    logs = [folder / f"{rank}.log" for rank in range(RANKS)]
    started = []
    for rank, log in enumerate(logs):
        with log.open("wb") as out:
            arguments = [*command, str(rank), str(RANKS), str(folder)]
            started.append(subprocess.Popen(arguments, cwd=ROOT, env=env, stdout=out, stderr=out))
    try:
        codes = [process.wait(LIMIT) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert codes == [0, 7], "\n".join(log.read_text("utf-8", "replace") for log in logs)
    parts = [load_file(folder / f"{rank}.safetensors") for rank in range(RANKS)]
    whole = {}
    for name, tensor in parts[0].items():
        if ".experts." in name and "shared" not in name:
            whole[name] = torch.cat([part[name] for part in parts])
        else:
            assert all(torch.equal(tensor, part[name]) for part in parts), name
            whole[name] = tensor
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(RANKS)], whole


def equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].shape == tensor.shape
        off = float((found[name] - tensor).norm() / tensor.norm().clamp(min=1e-12))
        assert off <= 1e-6, (name, off)


def test_two_ranks_train_as_one_process(
    alone: tuple[list[float], dict[str, Tensor]], ranks: tuple[list[dict[str, Any]], dict[str, Tensor]]
) -> None:
    told, tensors = ranks
    assert len(told[0]["losses"]) == STEPS
    assert told[0]["losses"] == told[1]["losses"] == pytest.approx(alone[0], rel=1e-6)
    assert alone[0][-1] != pytest.approx(alone[0][0], rel=1e-3)  # the weights moved
    equal(tensors, alone[1])


def test_one_rank_trains_as_one_process(
    alone: tuple[list[float], dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with local_group(tmp_path / "meeting", 0, 1) as group:
        losses, tensors = train(group)
        model = Transformer(CONFIG)
        initialise(model, 1, 0.3)
        with pytest.raises(ValueError, match="for 1 ranks and 3 rows"):
            exchange(torch.ones(3, 1), [2], [2], group)
        spread_experts(model, group)
        with pytest.raises(ValueError, match="SpreadExperts cannot be spread"):
            spread_experts(model, group)
        low = Transformer(CONFIG)
        apply(low, "fp8")
        with pytest.raises(ValueError, match="Fp8Experts cannot be spread"):
            spread_experts(low, group)
    assert losses == pytest.approx(alone[0], rel=1e-6)
    equal(tensors, alone[1])


def test_rows_of_uneven_splits_arrive_and_their_gradients_come_back(
    ranks: tuple[list[dict[str, Any]], dict[str, Tensor]],
) -> None:
    """Rank 0 sends one row to rank 1, which sends itself two; none goes to rank 0. The gradient of a row that
    arrived at rank 1 is twice the row."""
    first, second = (told["exchanged"] for told in ranks[0])
    assert (first["arrived"], second["arrived"]) == ([], [10.0, 110.0, 111.0])
    assert (first["gradient"], second["gradient"]) == ([20.0], [220.0, 222.0])


def test_a_lost_rank_ends_the_others(ranks: tuple[list[dict[str, Any]], dict[str, Tensor]]) -> None:
    assert "onnection closed" in ranks[0][0]["error"] or "reset by peer" in ranks[0][0]["error"]


def test_a_token_reaches_as_many_nodes_as_groups_are_kept() -> None:
    assert nodes() == CONFIG.topk_group
