"""Sizes of the model: field names are those of the released DeepSeek-V3 config.json.

Importing this module does not import torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from corpusmill.training_hooks.model.presets import PRESET_NAMES as PRESET_NAMES
from corpusmill.training_hooks.model.presets import PRESETS
from corpusmill.training_hooks.model.yarn import YarnScaling

# What the architecture fixes and other readers of a config.json ask for. `from_json` refuses other values.
_FIXED: dict[str, Any] = {
    "attention_bias": False,
    "hidden_act": "silu",
    "model_type": "deepseek_v3",
    "moe_layer_freq": 1,
    "norm_topk_prob": True,
    "rope_interleave": True,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_method": "noaux_tc",
}


@dataclass(frozen=True)
class ModelConfig:
    """A DeepSeek-V3 architecture. Raises ValueError for sizes that do not fit one another.

    `initializer_range` None means the rule of `initial_std`. `max_position_embeddings`, the longest context
    in tokens that the model is meant for, limits nothing here: other engines read it. Weights of the losses
    and the speed of the balancing bias are the trainer's options, not the model's.
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
    rope_scaling: YarnScaling | None = None
    max_position_embeddings: int = 4096
    initializer_range: float | None = None

    def __post_init__(self) -> None:
        if self.qk_rope_head_dim % 2:
            raise ValueError(f"qk_rope_head_dim must be even (it holds pairs), got {self.qk_rope_head_dim}")
        if not 0 <= self.first_k_dense_replace <= self.num_hidden_layers:
            raise ValueError("first_k_dense_replace must lie in 0..num_hidden_layers")
        if self.n_group < 1 or self.n_routed_experts % self.n_group:
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
    def softmax_scale(self) -> float:
        """What scores of attention are multiplied by: 1 / sqrt(d_h + d_R), sharpened under YaRN."""
        plain = float(self.qk_head_dim**-0.5)
        return plain if self.rope_scaling is None else plain * self.rope_scaling.softmax_factor

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

    def with_rope_scaling(self, scaling: YarnScaling | None) -> Self:
        """The same weights for another context: `rope_scaling` and `max_position_embeddings` replaced (the
        latter stays where `scaling` is None)."""
        longest = self.max_position_embeddings if scaling is None else scaling.max_position_embeddings
        return dataclasses.replace(self, rope_scaling=scaling, max_position_embeddings=longest)

    def to_json(self) -> dict[str, Any]:
        """The fields under their released names, with what identifies the architecture."""
        fields = dataclasses.asdict(self) | {
            "architectures": ["DeepseekV3ForCausalLM"],
            "initializer_range": self.initial_std,
            "num_key_value_heads": self.num_attention_heads,
        }
        if self.rope_scaling is not None:
            given = dataclasses.asdict(self.rope_scaling).items()
            fields["rope_scaling"] = {"type": "yarn"} | {k: v for k, v in given if v is not None}
        return fields | _FIXED

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """The architecture of a config.json, of `to_json` or of DeepSeek-V3's releases, or as transformers
        writes it (rotary options under `rope_parameters`). Keys that do not concern the architecture are
        passed over. Raises ValueError for a key that is missing and for what this model does not do."""
        for key, only in _FIXED.items():
            if written.get(key, only) != only:
                raise ValueError(f"{key} must be {only!r}, got {written[key]!r}")
        heads = written.get("num_attention_heads")
        if written.get("num_key_value_heads", heads) not in (heads, None):
            raise ValueError("num_key_value_heads must equal num_attention_heads: every head has its own")
        if written.get("quantization_config") is not None:
            raise ValueError("quantised weights cannot be read; convert them to BF16 or FP32 first")
        names = {field.name for field in dataclasses.fields(cls)}
        given = {key: value for key, value in written.items() if key in names}
        given |= _rotary(written)
        for field in dataclasses.fields(cls):
            if field.name not in given and field.default is dataclasses.MISSING:
                raise ValueError(f"{field.name} is missing")
            value = given.get(field.name)
            if field.type == "int" and field.name in given and (type(value) is not int or value < 0):
                raise ValueError(f"{field.name} must be a whole number of at least 0, got {value!r}")
            if field.type == "float" and field.name in given and type(value) not in (int, float):
                raise ValueError(f"{field.name} must be a number, got {value!r}")
        return cls(**given)


def described(path: Path) -> ModelConfig:
    """The architecture that a config.json tells of, whatever its weights are quantised to. Raises as
    `ModelConfig.from_json`, and OSError, ValueError, TypeError, AttributeError or RecursionError for a file
    that is not such a description."""
    written = json.loads(path.read_text(encoding="utf-8"))
    return ModelConfig.from_json({k: v for k, v in written.items() if k != "quantization_config"})


def _rotary(written: Mapping[str, Any]) -> dict[str, Any]:
    """`rope_scaling` and `rope_theta` of a config.json, from wherever its writer put them."""
    options = dict(written.get("rope_parameters") or written.get("rope_scaling") or {})
    kind = options.pop("rope_type", None) or options.pop("type", None) or "default"
    options.pop("type", None)
    theta = {"rope_theta": options.pop("rope_theta", written.get("rope_theta", ModelConfig.rope_theta))}
    if kind == "default":
        return {"rope_scaling": None} | theta
    if kind != "yarn":
        raise ValueError(f"rope_scaling of type {kind!r} is not known; there is 'yarn'")
    if options.pop("attention_factor", None) is not None or not options.pop("truncate", True):
        raise ValueError("rope_scaling with attention_factor or without truncation is not known")
    names = {field.name for field in dataclasses.fields(YarnScaling)}
    if strange := sorted(options.keys() - names):
        raise ValueError(f"rope_scaling has keys that are not known: {', '.join(strange)}")
    # A missing or zero weight of the sharpening leaves it out, wherever it was written; ours is null.
    weights = {key: options.get(key) or None for key in ("mscale", "mscale_all_dim")}
    return {"rope_scaling": YarnScaling(**(options | weights))} | theta


def preset(name: str, vocab_size: int, mtp_depth: int = 1) -> ModelConfig:
    """The preset `name` for a vocabulary; raises KeyError naming the presets there are."""
    if name not in PRESETS:
        raise KeyError(f"no preset {name!r}; there are {', '.join(PRESET_NAMES)}")
    return ModelConfig(vocab_size=vocab_size, num_nextn_predict_layers=mtp_depth, **PRESETS[name])
