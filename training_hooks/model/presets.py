"""The sizes that have names. Importing this module does not import torch.

Parameters beside embedding and head: of the main model, of these what one token meets, of one MTP module:

| preset | main | active | MTP | for |
|---|---|---|---|---|
| `v3-tiny` | 1.0M | 0.6M | 0.4M | seconds a run on a processor: does the data teach at all |
| `v3-mini` | 10.2M | 4.3M | 2.0M | minutes to hours on a processor: comparisons and ablations |
| `v3-small` | 152M | 31M | 14M | a GPU, or days on a processor |
| `v3-671b` | 669B | 36B | 11.6B | the released configuration: for counting parameters |
"""

from __future__ import annotations

from typing import Any

from corpusmill.training_hooks.model.yarn import YarnScaling

# Widths follow the ratios of the released configuration as far as small sizes allow. The route scale is 2.5
# for 8 active experts there; 2.5 * sqrt(K / 8) keeps the routed sum's size for K.
PRESETS: dict[str, dict[str, Any]] = {
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
    # Routing is V3's own: 8 active of 8 groups, 4 kept, scale 2.5; so is the balance of the layers (a dense
    # one is as wide as the 8 + 1 experts a token sees). Every inner width is a multiple of 128, the block of
    # the FP8 quantiser.
    "v3-small": {
        "hidden_size": 512,
        "num_hidden_layers": 12,
        "first_k_dense_replace": 1,
        "intermediate_size": 1152,
        "num_attention_heads": 8,
        "q_lora_rank": 256,
        "kv_lora_rank": 128,
        "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32,
        "v_head_dim": 64,
        "n_routed_experts": 64,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 128,
        "n_group": 8,
        "topk_group": 4,
        "routed_scaling_factor": 2.5,
    },
    # The released config.json but for its initializer_range 0.02, which initialises nothing there: the
    # report's 0.006 stands, through `ModelConfig.initial_std`. Its vocabulary is 129280.
    "v3-671b": {
        "hidden_size": 7168,
        "num_hidden_layers": 61,
        "first_k_dense_replace": 3,
        "intermediate_size": 18432,
        "num_attention_heads": 128,
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "n_group": 8,
        "topk_group": 4,
        "routed_scaling_factor": 2.5,
        "rope_scaling": YarnScaling(
            factor=40.0, original_max_position_embeddings=4096, beta_fast=32.0, beta_slow=1.0
        ),
        "max_position_embeddings": 163840,
    },
}
PRESET_NAMES = tuple(PRESETS)
