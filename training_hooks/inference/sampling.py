"""Choosing the next token from logits: greedily, or by a draw that repeats.

A draw is the largest of log p + g with independent Gumbel noise g (the Gumbel-max trick), which is a sample
of p. The noise follows from the seed, the prompt and the token's place alone: the same prompt and seed
give the same text whatever else is generated beside it, and a draft that puts its own logits under the same
noise most likely lands on the same token. B rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.randomness import generator, seed_of


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Raises ValueError for values without meaning.

    - `temperature`: logits are divided by it; 0 takes the most likely token.
    - `top_k`: only the k most likely are drawn from, and those as likely as the last of them.
    - `top_p`: only the most likely that together reach this probability, after temperature and `top_k`
      (nucleus sampling, Holtzman et al. 2020); the most likely always stays.
    - `seed`: of the draws.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be a number of at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}")

    def seeds(self, prompts: Sequence[Sequence[int]]) -> list[int]:
        """A seed for each row, from its prompt and how many rows before it have the same."""
        seen: dict[tuple[int, ...], int] = {}
        found = []
        for prompt in prompts:
            number = seen[tuple(prompt)] = seen.get(tuple(prompt), -1) + 1
            found.append(seed_of(self.seed, f"continuation {number} of {' '.join(map(str, prompt))}"))
        return found


GREEDY = Sampling()


def choose(logits_BV: Tensor, sampling: Sampling, seeds: Sequence[int], places: Sequence[int]) -> list[int]:
    """The token of each row; `places` are the positions they will stand at. Of equally likely tokens,
    greedily, the first. Raises DataError where logits are not finite."""
    if not bool(torch.isfinite(logits_BV).all()):
        raise DataError(
            "the model gives logits that are not finite: its weights are damaged or its training diverged"
        )
    if sampling.temperature == 0:
        return [int(token) for token in logits_BV.argmax(-1)]
    # From the largest on, which changes no probability: divided by a tiny temperature it must not overflow.
    fall_BV = logits_BV.double() - logits_BV.double().amax(-1, keepdim=True)
    kept_BV = eligible(fall_BV / sampling.temperature, sampling)
    noise_BV = np.stack(
        [
            generator(seed, f"token {place}").gumbel(size=kept_BV.shape[-1])
            for seed, place in zip(seeds, places, strict=True)
        ]
    )
    return [int(token) for token in (kept_BV + torch.from_numpy(noise_BV).to(kept_BV.device)).argmax(-1)]


def eligible(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """`logits_BV`, already divided by the temperature, with minus infinity for what is not drawn from."""
    if sampling.top_k is not None and sampling.top_k < logits_BV.shape[-1]:
        least_B1 = logits_BV.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, float("-inf"))
    if sampling.top_p is not None and sampling.top_p < 1:
        sorted_BV, order_BV = logits_BV.sort(dim=-1, descending=True, stable=True)
        share_BV = sorted_BV.softmax(-1)
        before_BV = share_BV.cumsum(-1) - share_BV
        dropped_BV = torch.zeros_like(before_BV, dtype=torch.bool)
        dropped_BV.scatter_(-1, order_BV, before_BV >= sampling.top_p)
        dropped_BV.scatter_(-1, order_BV[:, :1], False)
        logits_BV = logits_BV.masked_fill(dropped_BV, float("-inf"))
    return logits_BV
