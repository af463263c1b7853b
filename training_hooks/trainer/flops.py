"""The rate at which this machine could do floating-point operations at best.

Model FLOPs utilisation (Chowdhery et al. 2022, appendix B) is the operations that a step needs, whatever
is done twice (`model.parameter_counts.flops_per_token`), over its time and the machine's peak.
"""

from __future__ import annotations

import time

import torch

from corpusmill.training_hooks.model.products import bf16_products

SIZE = {"cpu": 1024, "cuda": 8192}  # of the square product that measures the peak: 10 ms or so each
TRIES = 4


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
