"""One of four ranks of a small training with spread experts, as a process: `main(RANK, FOLDER)`.

`train` is what every rank and the single process run. Results of a rank are files in the folder; at the end
the last rank dies, and the first tells what its next exchange with it raises.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from corpusmill.training_hooks.distributed.exchange import add_up, exchange
from corpusmill.training_hooks.distributed.experts import add_up_gradients, spread_experts
from corpusmill.training_hooks.distributed.group import local_group
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.node_groups import (
    flat_hop,
    most_nodes,
    node_hops,
    nodes_reached,
)
from corpusmill.training_hooks.distributed.ranks_of_task import Dispatch, way_of
from corpusmill.training_hooks.distributed.two_level import TwoLevel
from corpusmill.training_hooks.distributed.ways import Flat, Way
from corpusmill.training_hooks.model.balance import update_bias
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.objective import BatchCounts, objective
from corpusmill.training_hooks.trainer.options import Parallel
from tests.oracles.expert_layer import CASES, counted, run_layer

CONFIG = ModelConfig(
    vocab_size=64,
    hidden_size=16,
    num_hidden_layers=3,
    first_k_dense_replace=1,
    intermediate_size=24,
    num_attention_heads=2,
    q_lora_rank=8,
    kv_lora_rank=8,
    qk_nope_head_dim=6,
    qk_rope_head_dim=4,
    v_head_dim=6,
    n_routed_experts=8,
    n_shared_experts=1,
    num_experts_per_tok=3,
    moe_intermediate_size=12,
    n_group=4,
    topk_group=2,
    routed_scaling_factor=1.7,
    initializer_range=0.3,
)
ROWS, LENGTH, STEPS, RATE = 8, 12, 5, 0.1
RANKS, NODES = 4, 2
# A tile of 128 and one that is cut; no shared expert, whose sums depend on how many rows there are.
WIDE = dataclasses.replace(CONFIG, hidden_size=160, n_shared_experts=0)


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Tokens and what of them is real; every third row ends in padding."""
    draws = torch.Generator().manual_seed(step)
    tokens = torch.randint(0, CONFIG.vocab_size, (ROWS, LENGTH + 2), generator=draws)
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[::3, 9:] = False
    return tokens, real


def train(group: dist.ProcessGroup | None, way: Way | None = None) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of the steps, and by name gradients of the first step (`first.`) and weights at the end
    (`end.`). A rank of `group` has its share of the rows; None is one process without any."""
    model = Transformer(CONFIG)
    initialise(model, 1, 0.3)
    ranks, rank = (1, 0) if group is None else (group.size(), group.rank())
    if group is not None:
        spread_experts(model, group, way=way)
    mine = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    losses, kept = [], {}
    for step in range(STEPS):
        tokens, real = batch(step)
        model.zero_grad(set_to_none=True)
        whole = BatchCounts.of(real, len(model.mtp))
        passed = objective(model, tokens[mine], real[mine], 0.3, 0.01, whole)
        passed.total.backward()
        total, loads = passed.total.detach().clone(), passed.loads
        if group is not None:
            add_up_gradients(model, group)
            add_up([total, *loads], group)
        losses.append(float(total))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, name
                if step == 0:
                    kept[f"first.{name}"] = parameter.grad.clone()
                parameter -= RATE * parameter.grad
        for gate, load in zip(model.gates(), loads, strict=True):
            update_bias(gate.e_score_correction_bias, load, 0.01)
    kept |= {f"end.{name}": parameter.detach().clone() for name, parameter in model.named_parameters()}
    kept |= {f"end.bias.{n}": gate.e_score_correction_bias for n, gate in enumerate(model.gates())}
    return losses, kept


def ways_of_options() -> list[list[Any]]:
    """What options of `train` make of the ranks: kind of way, format to experts, nodes."""
    groups = Groups(Layout(1, 1, RANKS))
    found: list[list[Any]] = []
    choices: tuple[tuple[int, Dispatch], ...] = ((1, "exact"), (1, "fp8"), (NODES, "exact"), (NODES, "fp8"))
    for nodes, dispatch in choices:
        way = way_of(CONFIG, groups, Parallel(experts=RANKS, nodes=nodes), dispatch)
        assert isinstance(way, Flat | TwoLevel)
        found.append([type(way).__name__, way.wire.dispatch, getattr(way, "most", None)])
    return found


def exchanged(group: dist.ProcessGroup) -> dict[str, Any]:
    """What uneven splits give, forward and backward: rank r sends (r + 1) * p rows to rank p, so none to
    0."""
    rank, ranks = group.rank(), group.size()
    sent = [(rank + 1) * peer for peer in range(ranks)]
    received = [(peer + 1) * rank for peer in range(ranks)]
    rows = torch.tensor([[100.0 * rank + 10 * p + n] for p in range(ranks) for n in range(sent[p])])
    rows = rows.view(-1, 1).requires_grad_()
    arrived = exchange(rows, sent, received, flat_hop(group))
    (arrived * (rank + 1) * arrived.detach()).sum().backward()
    assert rows.grad is not None
    return {"arrived": arrived.flatten().tolist(), "gradient": rows.grad.flatten().tolist()}


def nodes() -> int:
    """The most nodes, of 4 with one group each, that any token of a batch reaches."""
    model = Transformer(CONFIG)
    initialise(model, 1, 0.3)
    x = torch.randn(500, CONFIG.hidden_size, generator=torch.Generator().manual_seed(3))
    experts, _, _ = model.gates()[0](x)
    return int(nodes_reached(experts, CONFIG.n_routed_experts, 4).max())


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    told: dict[str, Any] = {"losses": {}, "traffic": {}}
    kept: dict[str, Tensor] = {}
    with local_group(folder / "meeting", rank, RANKS, seconds=60) as group:
        hops, hop = node_hops([range(RANKS)], NODES), flat_hop(group, NODES)
        pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
        pair = pairs[rank // 2]
        trainings: dict[str, tuple[dist.ProcessGroup, Way]] = {
            "flat4": (group, Flat(hop)),
            "two4": (group, TwoLevel(hops, most=most_nodes(CONFIG, NODES))),
            "flat2": (pair, Flat(flat_hop(pair))),
            "two2": (pair, TwoLevel(node_hops([(0, 1), (2, 3)], 2, apart=True))),
        }
        for name, (members, way) in trainings.items():
            told["losses"][name], found = train(members, way)
            kept |= {f"{name}/{key}": tensor for key, tensor in found.items()}
        told["ways"] = ways_of_options()
        for name, levels, wire, options in CASES:
            way = TwoLevel(hops, wire, most_nodes(WIDE, NODES)) if levels else Flat(hop, wire)
            kept |= {f"{name}/{key}": tensor for key, tensor in run_layer(WIDE, way, **options).items()}
            told["traffic"][name] = counted(way.traffic)
        told["exchanged"] = exchanged(pair)
        save_file(
            {name: tensor.contiguous() for name, tensor in kept.items()}, folder / f"{rank}.safetensors"
        )
        (folder / f"{rank}.json").write_text(json.dumps(told), "utf-8")
        (folder / f"{rank}.ready").touch()
        while not all((folder / f"{other}.ready").exists() for other in range(RANKS)):
            time.sleep(0.01)
        if rank == RANKS - 1:
            os._exit(7)
        try:
            exchange(torch.ones(RANKS, 1), [1] * RANKS, [1] * RANKS, hop)
        except RuntimeError as error:
            told["error"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(told), "utf-8")
