"""Floating-point operations of training, and the rate at which this machine could do them at best.

Model FLOPs utilisation (Chowdhery et al. 2022, appendix B) is the operations that a step needs, whatever
is done twice, over its time and the machine's peak.
"""

from __future__ import annotations

import time

import torch

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import parameter_counts
from corpusmill.training_hooks.model.products import bf16_products

SIZE = {"cpu": 1024, "cuda": 8192}  # of the square product that measures the peak: 10 ms or so each
TRIES = 4


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


def measured_peak(device: torch.device, low_precision: bool) -> float:
    """Operations a second of a square matrix product, the best of a few, on the threads in use now. In low
    precision those of BF16, or of the FP32 products that stand for them: see `model.products`."""
    size = SIZE.get(device.type, 1024)
    native = device.type != "cpu" or bf16_products() == "native"
    dtype = torch.bfloat16 if low_precision and native else torch.float32
    a, b = (torch.ones((size, size), dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(TRIES):
        _wait(device)
        start = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
