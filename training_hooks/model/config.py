"""Sizes of the model: field names are those of the released DeepSeek-V3 config.json.

Importing this module does not import torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """A DeepSeek-V3 architecture. Raises ValueError for sizes that do not fit one another.

    `initializer_range` None means the rule of `initial_std`. Weights of the losses and the speed of the
    balancing bias are the trainer's options, not the model's.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    first_k_dense_replace: int
    intermediate_size: int
    num_attention_heads: int
    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0
    num_nextn_predict_layers: int = 1
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    initializer_range: float | None = None

    def __post_init__(self) -> None:
        if self.qk_rope_head_dim % 2:
            raise ValueError(f"qk_rope_head_dim must be even (it holds pairs), got {self.qk_rope_head_dim}")
        if not 0 <= self.first_k_dense_replace <= self.num_hidden_layers:
            raise ValueError("first_k_dense_replace must lie in 0..num_hidden_layers")
        if self.n_routed_experts % self.n_group:
            raise ValueError(f"{self.n_routed_experts} experts do not divide into {self.n_group} groups")
        if not 1 <= self.topk_group <= self.n_group:
            raise ValueError("topk_group must lie in 1..n_group")
        if self.n_group > 1 and self.n_routed_experts // self.n_group < 2:
            raise ValueError("a group is ranked by its best two experts: it needs at least two")
        reachable = self.topk_group * (self.n_routed_experts // self.n_group)
        if not 1 <= self.num_experts_per_tok <= reachable:
            raise ValueError(f"num_experts_per_tok must lie in 1..{reachable} (experts in the kept groups)")

    @property
    def qk_head_dim(self) -> int:
        """Width of one head's query and key: content and rotary parts."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def initial_std(self) -> float:
        """Standard deviation of every weight matrix at the start.

        The report gives 0.006 at width 7168. Kept constant at small widths it would starve the signal,
        so it is scaled as 1/sqrt(width): 0.006 * sqrt(7168 / D), 0.045 at D = 128. This scaling is
        ours, not the report's.
        """
        if self.initializer_range is not None:
            return self.initializer_range
        return float(0.006 * (7168 / self.hidden_size) ** 0.5)

    def to_json(self) -> dict[str, Any]:
        """The fields under their released names, with what identifies the architecture."""
        fields = dataclasses.asdict(self) | {"initializer_range": self.initial_std}
        fixed = {
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v3",
            "hidden_act": "silu",
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "norm_topk_prob": True,
            "attention_bias": False,
            "tie_word_embeddings": False,
        }
        return fields | fixed


# Widths of the presets follow the ratios of the released configuration as far as small sizes allow. The
# route scale is 2.5 for 8 active experts there; 2.5 * sqrt(K / 8) keeps the routed sum's size for K.
_PRESETS: dict[str, dict[str, Any]] = {
    "v3-tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "first_k_dense_replace": 1,
        "intermediate_size": 384,
        "num_attention_heads": 4,
        "q_lora_rank": 64,
        "kv_lora_rank": 64,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "routed_scaling_factor": 1.25,
    },
    "v3-mini": {
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "first_k_dense_replace": 1,
        "intermediate_size": 768,
        "num_attention_heads": 8,
        "q_lora_rank": 128,
        "kv_lora_rank": 64,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 16,
        "n_shared_experts": 1,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 128,
        "n_group": 4,
        "topk_group": 2,
        "routed_scaling_factor": 1.75,
    },
}
PRESET_NAMES = tuple(_PRESETS)


def preset(name: str, vocab_size: int, mtp_depth: int = 1) -> ModelConfig:
    """The preset `name` for a vocabulary; raises KeyError naming the presets there are."""
    if name not in _PRESETS:
        raise KeyError(f"no preset {name!r}; there are {', '.join(PRESET_NAMES)}")
    return ModelConfig(vocab_size=vocab_size, num_nextn_predict_layers=mtp_depth, **_PRESETS[name])
