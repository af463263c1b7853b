"""The report's equations written out with loops over tokens, heads and experts; slow and meant to be read."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.moe import MixtureOfExperts
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.yarn import YarnScaling


def norm(x: Tensor, layer: RMSNorm) -> Tensor:
    return x / ((x * x).mean() + layer.eps).sqrt() * layer.weight


def yarn_frequency(j: int, width: int, theta: float, scaling: YarnScaling) -> float:
    """Peng et al. 2023, section 3.2 ("NTK-by-parts") of pair j, with the ramp over whole pairs."""
    plain = float(theta ** (-2 * j / width))

    def pair_with(turns: float) -> float:
        return width / 2 * math.log(scaling.original_max_position_embeddings / (2 * math.pi * turns), theta)

    first = max(math.floor(pair_with(scaling.beta_fast)), 0)
    last = min(math.ceil(pair_with(scaling.beta_slow)), width - 1)
    if j <= first:
        return plain
    if j >= last:
        return plain / scaling.factor
    share = (j - first) / (last - first)
    return (1 - share) * plain + share * plain / scaling.factor


def turned(x: Tensor, position: int, theta: float, scaling: YarnScaling | None = None) -> Tensor:
    """RoPE of one vector, pair by pair, as complex numbers."""
    width = len(x)
    out = []
    for j in range(width // 2):
        frequency = theta ** (-2 * j / width)
        if scaling is not None:
            frequency = yarn_frequency(j, width, theta, scaling)
        angle = position * frequency
        z = complex(float(x[2 * j]), float(x[2 * j + 1])) * complex(
            float(torch.cos(torch.tensor(angle, dtype=torch.float64))),
            float(torch.sin(torch.tensor(angle, dtype=torch.float64))),
        )
        out += [z.real, z.imag]
    return torch.tensor(out, dtype=x.dtype)


def attention(
    layer: MultiHeadLatentAttention, x_TD: Tensor, theta: float, scaling: YarnScaling | None = None
) -> Tensor:
    """Equations 1-11 for one sequence, one head and one query at a time. With `scaling`, which must have
    both weights 1 as V3's has, the temperature t of section 4.3: sqrt(t) = 0.1 ln s + 1 on both sides."""
    sharpening = 1.0
    if scaling is not None:
        assert scaling.mscale == scaling.mscale_all_dim == 1
        sharpening = (0.1 * math.log(scaling.factor) + 1) ** 2
    heads, c, r, u = layer.heads, layer.content, layer.rotary, layer.value
    w_dkv = layer.kv_a_proj_with_mqa.weight[: layer.latent]
    w_kr = layer.kv_a_proj_with_mqa.weight[layer.latent :]
    w_uk_uv = layer.kv_b_proj.weight.view(heads, c + u, layer.latent)
    w_uq_qr = layer.q_b_proj.weight.view(heads, c + r, -1)
    latents = [norm(w_dkv @ x, layer.kv_a_layernorm) for x in x_TD]
    k_rotary = [turned(w_kr @ x, t, theta, scaling) for t, x in enumerate(x_TD)]
    outputs = []
    for t, x in enumerate(x_TD):
        c_q = norm(layer.q_a_proj.weight @ x, layer.q_a_layernorm)
        of_heads = []
        for h in range(heads):
            q_content = w_uq_qr[h, :c] @ c_q
            q_rotary = turned(w_uq_qr[h, c:] @ c_q, t, theta, scaling)
            scores = []
            for j in range(t + 1):
                content = q_content @ (w_uk_uv[h, :c] @ latents[j])
                scores.append(sharpening * (content + q_rotary @ k_rotary[j]) / (c + r) ** 0.5)
            share = torch.stack(scores).softmax(0)
            values = [share[j] * (w_uk_uv[h, c:] @ latents[j]) for j in range(t + 1)]
            of_heads.append(torch.stack(values).sum(0))
        outputs.append(layer.o_proj.weight @ torch.cat(of_heads))
    return torch.stack(outputs)


def chosen_experts(affinity_E: Tensor, bias_E: Tensor, k: int, groups: int, kept: int) -> list[int]:
    """Node-limited choice for one token, with sorts."""
    biased = (affinity_E + bias_E).tolist()
    size = len(biased) // groups
    rank = [sum(sorted(biased[g * size : (g + 1) * size])[-2:]) for g in range(groups)]
    best = sorted(range(groups), key=lambda g: -rank[g])[:kept]
    eligible = [e for e in range(len(biased)) if e // size in best]
    return sorted(eligible, key=lambda e: -biased[e])[:k]


def may_be_chosen(biased: list[float], chosen: list[int], k: int, groups: int, kept: int) -> bool:
    """Whether some way of breaking ties gives this set: tries every choice of groups. Among equals the
    definition leaves the choice open, so a set is right if none is better at either of the two steps."""
    size = len(biased) // groups
    rank = [sum(sorted(biased[g * size : (g + 1) * size])[-2:]) for g in range(groups)]
    choices = list(itertools.combinations(range(groups), kept))
    best = max(sum(rank[g] for g in choice) for choice in choices)
    for choice in choices:
        eligible = [e for e in range(len(biased)) if e // size in choice]
        top = sorted((biased[e] for e in eligible), reverse=True)[:k]
        reached = sorted((biased[e] for e in chosen), reverse=True)
        if sum(rank[g] for g in choice) == best and set(chosen) <= set(eligible) and reached == top:
            return len(set(chosen)) == k
    return False


def mixture(layer: MixtureOfExperts, x_ND: Tensor) -> tuple[Tensor, list[int]]:
    """Equations 12-16, a token at a time; also the load of each expert."""
    gate, experts = layer.gate, layer.experts
    load = [0] * layer.n_experts
    outputs = []
    for x in x_ND:
        affinity = torch.stack([1 / (1 + torch.exp(-(x @ centroid))) for centroid in gate.weight])
        chosen = chosen_experts(affinity, gate.e_score_correction_bias, gate.k, gate.groups, gate.kept_groups)
        total = sum(affinity[e] for e in chosen)
        y = torch.zeros_like(x)
        if layer.shared_experts is not None:
            shared = layer.shared_experts
            y = y + swiglu(x, shared.gate_proj.weight, shared.up_proj.weight, shared.down_proj.weight)
        for e in chosen:
            w_gate, w_up = experts.gate_up_proj[e].chunk(2)
            y = y + affinity[e] / total * gate.scale * swiglu(x, w_gate, w_up, experts.down_proj[e])
            load[e] += 1
        outputs.append(y)
    return torch.stack(outputs), load


def swiglu(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    z = w_gate @ x
    return w_down @ (z / (1 + torch.exp(-z)) * (w_up @ x))


def balance_loss(affinities_TE: Tensor, k: int) -> float:
    """Equations 17-20 of one sequence, without alpha."""
    tokens, experts = affinities_TE.shape
    total = 0.0
    for i in range(experts):
        hits = sum(i in sorted(range(experts), key=lambda e: -float(s[e]))[:k] for s in affinities_TE)
        f = experts / (k * tokens) * hits
        p = sum(float(s[i]) / float(s.sum()) for s in affinities_TE) / tokens
        total += f * p
    return total
