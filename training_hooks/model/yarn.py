"""YaRN (Peng et al. 2023, arXiv 2309.00071): a longer context from the same weights, by slower rotations.

Pairs that turn many times within the trained context keep their frequency, pairs that turn less than once
are slowed by `factor`, those between are blended along a linear ramp; attention is sharpened to make up for
the longer row of keys. DeepSeek-V3 (section 4.3) applies it to the decoupled rotary part only, which is the
only part with positions: content keys and values are untouched. Plain numbers: importing this module does
not import torch; `rope.rope_frequencies` puts the ramp to use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class YarnScaling:
    """`rope_scaling` of the released config.json. Raises ValueError for values without meaning.

    - `factor`: s, how many times longer the context becomes. V3: 40, from 4K to 160K.
    - `original_max_position_embeddings`: the context of pre-training, in tokens. V3: 4096.
    - `beta_fast`, `beta_slow`: turns within the original context above which a pair is left alone and below
      which it is slowed in full (the report's beta = 32 and alpha = 1).
    - `mscale`, `mscale_all_dim`: weights of the sharpening m(x) = 0.1 x ln s + 1 (the report's sqrt(t)).
      Both given, as in V3: scores are multiplied by m(mscale_all_dim)^2 and the rotary part of queries and
      of keys by m(mscale) / m(mscale_all_dim), which is 1 in V3. `mscale_all_dim` None: scores as they are,
      the rotary part multiplied by m(1) whatever `mscale` says; `mscale` None and `mscale_all_dim` given:
      both multiplications, with m(1) for the second. That is transformers' reading of missing values (its
      0 is our None); the code released with V3's weights would use `mscale` in the first of these cases.
    """

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float | None = 1.0
    mscale_all_dim: float | None = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(f"the factor of a longer context is at least 1, got {self.factor}")
        if self.original_max_position_embeddings < 1:
            raise ValueError("original_max_position_embeddings must be positive")
        if not 0 < self.beta_slow <= self.beta_fast:
            raise ValueError("beta_slow must be positive and at most beta_fast")
        if any(weight is not None and not weight > 0 for weight in (self.mscale, self.mscale_all_dim)):
            raise ValueError("mscale and mscale_all_dim are positive, or null to leave them out")

    @property
    def max_position_embeddings(self) -> int:
        """Tokens of the longer context: factor * original, rounded."""
        return round(self.factor * self.original_max_position_embeddings)

    @property
    def rotary_factor(self) -> float:
        """What cosines and sines, so the rotary part of queries and of keys, are multiplied by."""
        if self.mscale is None or self.mscale_all_dim is None:
            return self._sharpening(1.0)
        return self._sharpening(self.mscale) / self._sharpening(self.mscale_all_dim)

    @property
    def softmax_factor(self) -> float:
        """What the scores of attention are multiplied by, beside 1 / sqrt(d_h + d_R)."""
        return 1.0 if self.mscale_all_dim is None else self._sharpening(self.mscale_all_dim) ** 2

    def ramp(self, rotary_width: int, theta: float) -> tuple[int, int]:
        """(first, last) pair of the blend: pairs up to `first` keep their frequency, from `last` on they
        are slowed in full. Pair j of R / 2 turns original * theta^(-2j / R) / (2 pi) times."""

        def pair_that_turns(times: float) -> float:
            turns_of_pair_0 = self.original_max_position_embeddings / (2 * math.pi)
            return rotary_width * math.log(turns_of_pair_0 / times) / (2 * math.log(theta))

        first, last = math.floor(pair_that_turns(self.beta_fast)), math.ceil(pair_that_turns(self.beta_slow))
        # The released code bounds it by R - 1, though there are R / 2 pairs: kept, to be equal to it.
        return max(first, 0), min(last, rotary_width - 1)

    def _sharpening(self, weight: float) -> float:
        return 0.1 * weight * math.log(self.factor) + 1.0
