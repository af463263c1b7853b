"""The learning rate as a function of tokens seen, as in section 4.2: linear warm-up, then cosine decay."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """`peak` after `warmup_tokens`, down a cosine to `final_ratio * peak` at `total_tokens`, then constant.

    V3 holds its peak for two thirds of the run before the cosine; a run of hundreds of steps does better
    without, so there is no plateau here. V3's final ratio is 0.1 (2.2e-5 / 2.2e-4).
    """

    peak: float
    warmup_tokens: int
    total_tokens: int
    final_ratio: float = 0.1

    def learning_rate(self, tokens: int) -> float:
        """Rate of the step that ends at `tokens` tokens seen."""
        if tokens < self.warmup_tokens:
            return self.peak * tokens / self.warmup_tokens
        decay = max(self.total_tokens - self.warmup_tokens, 1)
        done = min((tokens - self.warmup_tokens) / decay, 1.0)
        cosine = 0.5 * (1.0 + math.cos(math.pi * done))
        return self.peak * (self.final_ratio + (1.0 - self.final_ratio) * cosine)
