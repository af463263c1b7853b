"""The training loss of a whole model from the equations of the report, token by token, in FP64.

Takes weights by their names and shares no code with the model. Differentiable, so that gradients can be
compared too. T tokens, D width; other letters as in the report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from corpusmill.training_hooks.model.config import ModelConfig

Weights = Mapping[str, Tensor]
Loads = dict[str, list[int]]


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def frequencies(config: ModelConfig) -> list[float]:
    """RoPE's, with YaRN's blend where there is one: by parts, over whole pairs."""
    width, theta, yarn = config.qk_rope_head_dim, config.rope_theta, config.rope_scaling
    plain = [theta ** (-2 * j / width) for j in range(width // 2)]
    if yarn is None:
        return plain

    def pair(turns: float) -> float:
        trained = yarn.original_max_position_embeddings / (2 * math.pi * turns)
        return width * math.log(trained) / (2 * math.log(theta))

    first, last = max(math.floor(pair(yarn.beta_fast)), 0), min(math.ceil(pair(yarn.beta_slow)), width - 1)
    shares = [min(max((j - first) / (last - first), 0.0), 1.0) for j in range(width // 2)]
    return [f * (1 - share) + f / yarn.factor * share for f, share in zip(plain, shares, strict=True)]


def turned(x_TR: Tensor, config: ModelConfig) -> Tensor:
    positions = torch.arange(x_TR.shape[0], dtype=torch.float64)
    angle = torch.outer(positions, torch.tensor(frequencies(config), dtype=torch.float64))
    even, odd = x_TR[:, 0::2], x_TR[:, 1::2]
    pairs = (even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos())
    return torch.stack(pairs, dim=-1).flatten(1)


def attention(w: Weights, at: str, x_TD: Tensor, config: ModelConfig) -> Tensor:
    """Equations 1-11; sqrt(t) = 0.1 ln s + 1 of section 4.3 on queries and on keys."""
    heads, c, u = config.num_attention_heads, config.qk_nope_head_dim, config.v_head_dim
    length, latent = x_TD.shape[0], config.kv_lora_rank
    c_q = norm(x_TD @ w[at + "q_a_proj.weight"].T, w[at + "q_a_layernorm.weight"], 1e-6)
    q = (c_q @ w[at + "q_b_proj.weight"].T).view(length, heads, -1)
    down = x_TD @ w[at + "kv_a_proj_with_mqa.weight"].T
    c_kv = norm(down[:, :latent], w[at + "kv_a_layernorm.weight"], 1e-6)
    k_rotary = turned(down[:, latent:], config)
    kv = (c_kv @ w[at + "kv_b_proj.weight"].T).view(length, heads, c + u)
    yarn = config.rope_scaling
    sharpening = 1.0 if yarn is None else 0.1 * math.log(yarn.factor) + 1
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    outputs = []
    for h in range(heads):
        scores = q[:, h, :c] @ kv[:, h, :c].T + turned(q[:, h, c:], config) @ k_rotary.T
        scores = scores * sharpening**2 / math.sqrt(c + config.qk_rope_head_dim)
        outputs.append(scores.masked_fill(later, -math.inf).softmax(-1) @ kv[:, h, c:])
    return torch.cat(outputs, dim=-1) @ w[at + "o_proj.weight"].T


def swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    z = x @ gate.T
    return (z / (1 + torch.exp(-z)) * (x @ up.T)) @ down.T


def chosen(biased: list[float], config: ModelConfig) -> list[int]:
    size = len(biased) // config.n_group
    ranks = [sum(sorted(biased[g * size : (g + 1) * size])[-2:]) for g in range(config.n_group)]
    best = sorted(range(config.n_group), key=lambda g: -ranks[g])[: config.topk_group]
    eligible = [e for e in range(len(biased)) if e // size in best]
    return sorted(eligible, key=lambda e: -biased[e])[: config.num_experts_per_tok]


def mixture(
    w: Weights, at: str, x_TD: Tensor, real: list[bool], config: ModelConfig
) -> tuple[Tensor, list[int], Tensor | None]:
    """Equations 12-16; the load; and the loss of equations 17-20, None for a sequence of padding."""
    s_TE = 1 / (1 + torch.exp(-(x_TD @ w[at + "gate.weight"].T)))
    values, k = s_TE.detach().tolist(), config.num_experts_per_tok
    bias = w[at + "gate.e_score_correction_bias"].tolist()
    load, rows = [0] * len(bias), []
    for t, x in enumerate(x_TD):
        best = chosen([s + b for s, b in zip(values[t], bias, strict=True)], config)
        total = torch.stack([s_TE[t, e] for e in best]).sum()
        y = torch.zeros_like(x)
        if config.n_shared_experts:
            shared = (w[f"{at}shared_experts.{part}_proj.weight"] for part in ("gate", "up", "down"))
            y = y + swiglu(x, *shared)
        for e in best:
            gate, up = w[at + "experts.gate_up_proj"][e].chunk(2)
            routed = swiglu(x, gate, up, w[at + "experts.down_proj"][e])
            y = y + config.routed_scaling_factor * s_TE[t, e] / total * routed
            load[e] += real[t]
        rows.append(y)
    tokens = [t for t in range(len(real)) if real[t]]
    if not tokens:
        return torch.stack(rows), load, None
    loss = torch.zeros((), dtype=torch.float64)
    for i in range(len(bias)):
        hits = sum(i in sorted(range(len(bias)), key=lambda e: -values[t][e])[:k] for t in tokens)
        p = torch.stack([s_TE[t, i] / s_TE[t].sum() for t in tokens]).mean()
        loss = loss + len(bias) / (k * len(tokens)) * hits * p
    return torch.stack(rows), load, loss


class Pass:
    """One batch through the model: loads by layer, and the balance losses of every sequence."""

    def __init__(self, w: Weights, config: ModelConfig) -> None:
        self.w, self.config = w, config
        self.loads: Loads = {}
        self.balance: dict[str, list[Tensor]] = {}

    def block(self, at: str, x_TD: Tensor, real: list[bool], *, dense: bool) -> Tensor:
        w, eps = self.w, self.config.rms_norm_eps
        normed = norm(x_TD, w[at + "input_layernorm.weight"], eps)
        x_TD = x_TD + attention(w, at + "self_attn.", normed, self.config)
        normed = norm(x_TD, w[at + "post_attention_layernorm.weight"], eps)
        if dense:
            parts = (w[f"{at}mlp.{part}_proj.weight"] for part in ("gate", "up", "down"))
            return x_TD + swiglu(normed, *parts)
        y_TD, load, loss = mixture(w, at + "mlp.", normed, real, self.config)
        before = self.loads.get(at, [0] * len(load))
        self.loads[at] = [a + b for a, b in zip(before, load, strict=True)]
        self.balance.setdefault(at, [])
        if loss is not None:
            self.balance[at].append(loss)
        return x_TD + y_TD

    def sequence(self, tokens: list[int], real: list[bool]) -> list[list[Tensor]]:
        """Cross-entropies of the real targets of every depth (equations 21-25)."""
        w, eps, depths = self.w, self.config.rms_norm_eps, self.config.num_nextn_predict_layers
        length = len(tokens) - 1 - depths
        h = w["embed_tokens.weight"][tokens[:length]]
        for index in range(self.config.num_hidden_layers):
            dense = index < self.config.first_k_dense_replace
            h = self.block(f"layers.{index}.", h, real[:length], dense=dense)
        h = norm(h, w["norm.weight"], eps)
        losses = []
        for k in range(depths + 1):
            if k:
                at = f"mtp.{k - 1}."
                ahead = w["embed_tokens.weight"][[tokens[i + k] for i in range(length)]]
                sides = norm(h, w[at + "hnorm.weight"], eps), norm(ahead, w[at + "enorm.weight"], eps)
                h = torch.cat(sides, dim=-1) @ w[at + "eh_proj.weight"].T
                h = self.block(at + "block.", h, real[k : k + length], dense=False)
                h = norm(h, w[at + "norm.weight"], eps)
            logarithm = (h @ w["lm_head.weight"].T).log_softmax(-1)
            places = [i for i in range(length) if real[i + k + 1]]
            losses.append([-logarithm[i, tokens[i + k + 1]] for i in places])
        return losses


def training_loss(
    w: Weights, config: ModelConfig, tokens_BW: Tensor, real_BW: Tensor, mtp_weight: float, alpha: float
) -> tuple[Tensor, Loads]:
    """loss + lambda / D' * sum of the depths' losses + alpha * balance losses, and loads by layer's name."""
    run = Pass(w, config)
    each: list[list[Tensor]] = [[] for _ in range(config.num_nextn_predict_layers + 1)]
    for tokens, real in zip(tokens_BW.tolist(), real_BW.tolist(), strict=True):
        for all_losses, losses in zip(each, run.sequence(tokens, real), strict=True):
            all_losses += losses
    zero = torch.zeros((), dtype=torch.float64)
    means = [torch.stack(losses).mean() if losses else zero for losses in each]
    balance = [torch.stack(losses).mean() for losses in run.balance.values() if losses]
    ahead = torch.stack(means[1:]).mean() if means[1:] else zero
    return means[0] + mtp_weight * ahead + alpha * torch.stack([zero, *balance]).sum(), run.loads
