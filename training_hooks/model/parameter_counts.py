"""How many parameters a configuration has, how many a token meets, and the operations of training on one.

Sums of sizes, part by part: no torch.

D model width, H heads, C content, R rotary and U value width of a head, Q and L latents, E routed experts, F
their width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.training_hooks.model.config import ModelConfig


@dataclass(frozen=True)
class Counts:
    """Parameters; the routing biases, which no gradient reaches, are left out.

    - `total`: the main model, embedding and head included, MTP modules not. V3: 671.0B.
    - `active`: of `total`, what one token is multiplied by: all but the embedding, of which it reads one
      row, and the routed experts it is not sent to. V3: 36.6B, the report's 37B.
    - `embedding`, `head`: V * D each, within `total`. V3: 0.9B each.
    - `mtp_unique`: the MTP modules without the embedding and the head that they share. V3: 11.6B.
    - `mtp_blocks`: of `mtp_unique`, the transformer blocks; the rest are projections and norms. V3: 11.5B,
      which the README of the released weights gives as unique to MTP.
    - `mtp_active`: what one token is multiplied by in the MTP modules, the shared head once a depth
      included. V3: 1.6B (the README's 2.4B counts the embedding and leaves the projection out).

    A step of training costs about 6 * (`active` + `mtp_active`) floating-point operations a token, and those
    of the attention scores.
    """

    total: int
    active: int
    embedding: int
    head: int
    mtp_unique: int
    mtp_blocks: int
    mtp_active: int


@dataclass(frozen=True)
class Parts:
    """Parameters of the parts of a model: `attention` and its norms in one block; the feed-forward network of
    a dense block; of a mixture of experts the `router`, the `shared` experts and one routed `expert`;
    `block_norms`, two a block; `joint`, the projection and norms of an MTP module beside its block."""

    attention: int
    dense: int
    router: int
    shared: int
    expert: int
    block_norms: int
    joint: int
    table: int  # the embedding, and the head
    last_norm: int

    @classmethod
    def of(cls, config: ModelConfig) -> Parts:
        """The parts of `config`."""
        width, heads = config.hidden_size, config.num_attention_heads
        q, kv, rotary = config.q_lora_rank, config.kv_lora_rank, config.qk_rope_head_dim
        attention = (
            width * q + q  # to the query latent, and its norm
            + q * heads * config.qk_head_dim
            + width * (kv + rotary) + kv  # to the key-value latent and the rotary key, and the latent's norm
            + kv * heads * (config.qk_nope_head_dim + config.v_head_dim)
            + heads * config.v_head_dim * width
        )  # fmt: skip
        expert = 3 * width * config.moe_intermediate_size
        return cls(
            attention=attention,
            dense=3 * width * config.intermediate_size,
            router=config.n_routed_experts * width,
            shared=config.n_shared_experts * expert,
            expert=expert,
            block_norms=2 * width,
            joint=2 * width * width + 3 * width,
            table=config.vocab_size * width,
            last_norm=width,
        )


def parameter_counts(config: ModelConfig) -> Counts:
    """The counts of a model of this configuration."""
    parts, depths = Parts.of(config), config.num_nextn_predict_layers
    mixtures = config.num_hidden_layers - config.first_k_dense_replace
    experts, kept = config.n_routed_experts * parts.expert, config.num_experts_per_tok * parts.expert
    always = parts.attention + parts.block_norms
    mixture = always + parts.router + parts.shared + experts
    dense = config.first_k_dense_replace * (always + parts.dense)
    total = dense + mixtures * mixture + parts.last_norm + 2 * parts.table
    mtp_unique = depths * (mixture + parts.joint)
    return Counts(
        total=total,
        active=total - parts.table - mixtures * (experts - kept),
        embedding=parts.table,
        head=parts.table,
        mtp_unique=mtp_unique,
        mtp_blocks=depths * mixture,
        mtp_active=mtp_unique - depths * (experts - kept) + depths * parts.table,
    )


def flops_per_token(config: ModelConfig, context: int) -> float:
    """Operations of forward and backward for one token of a sequence of `context` tokens:

        6 * (active parameters) + 3 * (layers + D') * H * (d_h + d_R + d_v) * (context + 1)

    A parameter costs one multiplication and one addition forward, twice that backward. Scores and weighted
    values cost 2 H (d_h + d_R) and 2 H d_v a pair of positions, of which a causal mask leaves
    (context + 1) / 2 a token (the customary formula counts them all). Active parameters are those of
    `parameter_counts`, output head included, once more for each MTP depth D'. Recomputation is not counted.
    """
    counts = parameter_counts(config)
    blocks = config.num_hidden_layers + config.num_nextn_predict_layers
    pair = config.num_attention_heads * (config.qk_head_dim + config.v_head_dim)
    return 6.0 * (counts.active + counts.mtp_active) + 3.0 * blocks * pair * (context + 1)
