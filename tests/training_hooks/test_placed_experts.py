"""Experts on devices of a pool: outputs of the plain model, and loads that are what was routed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from corpusmill.training_hooks.expert_placement.place import moved, place_experts
from corpusmill.training_hooks.inference.expert_pools import placed_copy, serve
from corpusmill.training_hooks.inference.generation import generate
from corpusmill.training_hooks.inference.placed_experts import PlacedExperts, Pool
from corpusmill.training_hooks.inference.sampling import Sampling
from corpusmill.training_hooks.inference.simulated_device import SimulatedDevice, with_shared
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.moe import Experts, MixtureOfExperts
from corpusmill.training_hooks.model.transformer import Transformer
from tests.oracles.expert_parallel_ranks import CONFIG

TWO_SHARED = dataclasses.replace(CONFIG, n_shared_experts=2, num_nextn_predict_layers=0)
PREFILL = Pool(devices=4, slots=3, nodes=2, groups=4, every=100)
DECODE = Pool(devices=4, slots=4, nodes=2, shared=True, every=40)


@pytest.fixture(scope="module")
def model() -> Transformer:
    """With a router that prefers some experts."""
    made = Transformer(TWO_SHARED)
    initialise(made, 3, 0.3)
    for gate in made.gates():
        gate.e_score_correction_bias += torch.linspace(0, 0.6, TWO_SHARED.n_routed_experts)
    return made.requires_grad_(False)


def layer(config: ModelConfig = TWO_SHARED) -> MixtureOfExperts:
    made = MixtureOfExperts(config)
    initialise(made, 5, 0.3)
    return made.requires_grad_(False)


def routed(tokens: int, skew: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(rows, experts, gates) of tokens that prefer later experts the more, the larger `skew` is."""
    draw = torch.Generator().manual_seed(seed)
    x_ND = torch.randn(tokens, TWO_SHARED.hidden_size, generator=draw)
    wish = torch.rand(tokens, TWO_SHARED.n_routed_experts, generator=draw)
    wish = wish + torch.linspace(0, skew, TWO_SHARED.n_routed_experts)
    experts_NK = wish.topk(TWO_SHARED.num_experts_per_tok, dim=1).indices
    return x_ND, experts_NK, torch.rand(experts_NK.shape, generator=draw)


def test_a_layer_gives_what_it_gave_through_plan_after_plan() -> None:
    plain = layer()
    for pool in (PREFILL, DECODE):
        placed = PlacedExperts(plain.experts, plain.shared_experts, pool)
        for step in range(8):
            x_ND, experts_NK, gates_NK = routed(60, 2.0 * (step % 3), step)
            wanted = plain.experts.mixed(x_ND, experts_NK, gates_NK)
            if pool.shared and plain.shared_experts is not None:
                wanted = wanted + plain.shared_experts(x_ND)
            assert torch.allclose(placed.mixed(x_ND, experts_NK, gates_NK), wanted, rtol=1e-5, atol=1e-5)
        assert placed.figures.plans >= 3


def test_loads_of_devices_are_what_was_routed() -> None:
    """Counted once more from the plan: replicas take the tokens of an expert in turn."""
    plain = layer()
    placed = PlacedExperts(plain.experts, plain.shared_experts, PREFILL)
    seen: list[tuple[list[int], Tensor]] = []
    for device in placed.devices:
        compute = device.compute

        def watched(rows: Tensor, counts: list[int], device: Any = device, compute: Any = compute) -> Tensor:
            seen.append((counts, rows))
            found: Tensor = compute(rows, counts)
            return found

        device.compute = watched  # type: ignore[method-assign]
    before = [device.experts for device in placed.devices]
    copies = [sum(expert in device for device in before) for expert in range(8)]
    turns = [0] * 8
    x_ND, experts_NK, gates_NK = routed(50, 1.0, 1)
    placed.mixed(x_ND, experts_NK, gates_NK)
    wanted: list[dict[int, list[int]]] = [{expert: [] for expert in device} for device in before]
    for token, experts in enumerate(experts_NK.tolist()):
        for expert in experts:
            owners = [number for number, device in enumerate(before) if expert in device]
            wanted[owners[turns[expert] % copies[expert]]][expert].append(token)
            turns[expert] += 1
    for (counts, rows), device in zip(seen, wanted, strict=True):
        assert counts == [len(tokens) for tokens in device.values()]
        assert torch.equal(rows, x_ND[[token for tokens in device.values() for token in tokens]])
    assert sum(sum(counts) for counts, _ in seen) == experts_NK.numel()


def test_plans_are_made_from_the_window_before_and_move_what_they_lack() -> None:
    plain = layer()
    pool = Pool(devices=4, slots=3, every=100)
    placed = PlacedExperts(plain.experts, None, pool)
    plan = place_experts([1.0] * 8, devices=4, slots=3)
    total, window = 0, torch.zeros(8, dtype=torch.int64)
    most = mean = 0.0
    for step in range(7):
        if step and step % 2 == 0:  # two passes of 60 tokens fill a window
            after = place_experts(window.tolist(), devices=4, slots=3)
            total, plan = total + moved(plan, after), after
            assert placed.figures.loads != tuple(window.tolist())
            window.zero_()
        x_ND, experts_NK, gates_NK = routed(60, 0.5 * step, step)
        placed.mixed(x_ND, experts_NK, gates_NK)
        counts = torch.bincount(experts_NK.flatten(), minlength=8)
        window += counts
        assert tuple(device.experts for device in placed.devices) == plan.devices
        if step >= 2:
            by_plan = plan.device_loads(counts.tolist())
            assert placed.figures.passes.most >= most
            most, mean = placed.figures.passes.most, mean + sum(by_plan) / 4
            # Replicas share an expert's tokens to within one token a pass.
            assert placed.figures.passes.mean == pytest.approx(mean)
    assert placed.figures.moved == total > 0
    assert placed.figures.plans == 3
    assert placed.figures.tokens == 5 * 60


def test_redundant_experts_even_the_load_out() -> None:
    """Where loads keep their shape, the plan of the window before holds for the next."""
    plain = layer()
    placed = PlacedExperts(plain.experts, None, Pool(devices=4, slots=3, every=400))
    for step in range(12):
        placed.mixed(*routed(200, 0.8, step))
    placed.close()
    figures = placed.figures
    assert figures.windows.ratio is not None
    assert figures.windows_without.ratio is not None
    assert figures.windows_without.ratio > 1.3
    assert figures.windows.ratio < 1.1
    assert max(figures.promised) <= figures.windows.ratio + 0.05
    assert figures.passes.ratio is not None
    assert figures.passes.ratio >= figures.windows.ratio


def test_whole_groups_on_nodes_limit_the_nodes_of_a_token(model: Transformer) -> None:
    """Of 4 groups 2 are kept, each on one of 4 nodes; where any device has any expert, a token reaches
    more."""
    tokens = torch.randint(0, 64, (6, 40), generator=torch.Generator().manual_seed(2))
    reached = {}
    for groups in (4, 1):
        copy, placed = placed_copy(model, Pool(devices=8, slots=2, nodes=4, groups=groups, every=80))
        for _ in range(3):
            copy.logits(tokens)
        figures = [one.figures for one in placed.values()]
        reached[groups] = max(one.nodes / one.tokens for one in figures)
    assert reached[4] <= 2 < reached[1]


def test_pools_write_what_the_model_writes(model: Transformer) -> None:
    draw = torch.Generator().manual_seed(4)
    prompts = torch.randint(0, 64, (12, 16), generator=draw).tolist()
    sampling = Sampling(1.0, None, None, 3)
    served = serve(
        model, prompts, prefill=PREFILL, decode=DECODE, batch=3, max_new_tokens=12, sampling=sampling
    )
    wanted = [
        tuple(one.tokens)
        for start in range(0, 12, 3)
        for one in generate(model, prompts[start : start + 3], max_new_tokens=12, sampling=sampling)[0]
    ]
    assert list(served.tokens) == wanted
    for pool, tokens in ((served.prefill, 12 * 16), (served.decode, 12 * 11)):
        assert list(pool.layers) == [1, 2]
        for figures in pool.layers.values():
            assert figures.plans >= 1
            assert 0 < figures.tokens < tokens
            assert sum(figures.replicas) <= pool.pool.devices * pool.pool.slots
    assert len(served.decode.layers[1].replicas) == 8 + 2
    assert len(served.prefill.layers[1].replicas) == 8
    loads = served.decode.layers[2].loads
    assert loads[8] == loads[9] == sum(loads[:8]) // 3 > 0  # shared experts see every token


def test_what_does_not_fit_is_told(model: Transformer) -> None:
    plain = layer()
    with pytest.raises(ValueError, match="have no room for 10 experts"):
        PlacedExperts(plain.experts, plain.shared_experts, Pool(devices=3, slots=3, shared=True))
    other = layer(dataclasses.replace(TWO_SHARED, moe_intermediate_size=8, n_shared_experts=1))
    with pytest.raises(ValueError, match="no multiple of 12"):
        with_shared(plain.experts, other.shared_experts)
    with pytest.raises(ValueError, match="before experts are loaded"):
        SimulatedDevice().compute(torch.ones(1, 16), [1])
    dense = Transformer(dataclasses.replace(TWO_SHARED, first_k_dense_replace=3))
    with pytest.raises(ValueError, match="no routed experts"):
        placed_copy(dense, PREFILL)


def test_a_device_keeps_what_it_has() -> None:
    store = layer().experts
    assert isinstance(store, Experts)
    device = SimulatedDevice()
    assert device.load((1, 4), store) == 2
    assert device.load((0, 4, 5), store) == 2
    assert device.load((), store) == 0
    assert device.compute(torch.zeros(0, 16), []).shape == (0, 16)
