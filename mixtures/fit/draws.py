"""Mixtures to train small runs on: drawn around a prior, within what the sources can give.

As RegMix does (Liu et al. 2024, arXiv 2407.01492; the constants are those of its code): a Dirichlet
distribution whose parameters are the prior's shares, evened out by a square root, times a factor drawn
log-uniformly from 0.1 to 5. Small factors give mixtures of nearly one source, large ones come near the prior.
Shares below 0.0002 are taken as 0. Mixture number i follows from (seed, i) alone, so more runs of a table
later go on where it ends. Number 0 is the prior itself, which others are compared with.
"""

from __future__ import annotations

import numpy as np

from corpusmill.mixtures.fit.proposal import caps_of, within_caps
from corpusmill.mixtures.fit.run_table import Floats
from corpusmill.pipelines.contract.randomness import generator

LEAST_FACTOR, MOST_FACTOR = 0.1, 5.0
EVENED = 0.5  # power of the prior's shares
LEAST_SHARE = 2e-4
TRIES = 1000


def drawn(prior_S: Floats, cap_S: Floats, number: int, seed: int) -> Floats:
    """Mixture `number`, float64[S], adding up to 1, no share above its cap.

    `prior_S` adds up to 1; sources of share 0 stay out. A draw beyond a cap is drawn again; after TRIES of
    them what is over a cap goes to other sources. Raises UserError where the caps add up to less than 1.
    """
    cap_S = caps_of(prior_S, cap_S)
    if number == 0:
        return within_caps(prior_S, cap_S)
    free = prior_S > 0
    evened = prior_S[free] ** EVENED
    chance = generator(seed, f"mixture.runs.{number}")
    shares = np.zeros(len(prior_S))
    for _ in range(TRIES):
        factor = float(np.exp(chance.uniform(np.log(LEAST_FACTOR), np.log(MOST_FACTOR))))
        # Gamma draws by hand: a Dirichlet of tiny parameters may underflow to nothing at all.
        shares[free] = chance.gamma(evened / evened.sum() * factor)
        shares[shares < LEAST_SHARE * shares.sum()] = 0.0
        if shares.sum() > 0 and (shares <= cap_S * shares.sum()).all():
            found: Floats = shares / shares.sum()
            return found
    return within_caps(np.where(free, np.maximum(shares, 1e-12), 0.0), cap_S)
