"""The mixture whose predicted loss is lowest, among those that can be drawn, and how sure that is.

The prediction is minimised over shares that add up to 1, none above what its source can give (its tokens
times the most epochs, over the budget), with a penalty on leaving the prior mixture: `kl` times KL(w ||
prior), in the unit of the loss for a nat. Without penalty a linear form would put everything on one source,
and any form would go where no run was. Both forms are convex in w, so the minimum is the only one (SLSQP of
scipy, started at the prior).

How sure it is comes from runs drawn again with replacement (bootstrap, Efron 1979): each redraw is fitted and
minimised anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from corpusmill.mixtures.fit.run_table import Floats, RunTable
from corpusmill.mixtures.fit.surrogate import Surrogate, fit_many
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.contract.randomness import generator

REDRAWS = 200
LEVEL = 0.9  # of the intervals
_LEAST = 1e-9  # of a share while it is looked for: log of it is taken


@dataclass(frozen=True)
class Interval:
    """Quantiles (1 - LEVEL) / 2 and (1 + LEVEL) / 2 over redraws."""

    low: float
    high: float


@dataclass(frozen=True)
class Proposal:
    """Shares `weights`, what is predicted of them and of the prior (`value . loss`), and intervals: of each
    share, and of the gain, prior less proposal, of this proposal."""

    weights: Floats
    predicted: float
    predicted_of_prior: float
    shares: tuple[Interval, ...]
    gain: Interval


def propose(
    table: RunTable,
    surrogate: Surrogate,
    value_M: Floats,
    prior_S: Floats,
    cap_S: Floats,
    *,
    kl: float,
    seed: int,
    redraws: int = REDRAWS,
) -> Proposal:
    """The best mixture by `surrogate`. `cap_S`: the largest share of each source. Time: `redraws` fits.

    Raises UserError where the caps add up to less than 1.
    """
    weights_S = lowest(surrogate, value_M, prior_S, cap_S, kl)
    shares, gains = np.empty((redraws, len(weights_S))), np.empty(redraws)
    n = len(table)
    drawn_BN = generator(seed, "mixture.fit.redraws").integers(0, n, (redraws, n))
    counts_BN = (drawn_BN[:, :, None] == np.arange(n)).sum(axis=1).astype(np.float64)
    fits = fit_many(table, counts_BN, surrogate.form, surrogate.ridge)
    for number, again in enumerate(fits):
        shares[number] = lowest(again, value_M, prior_S, cap_S, kl)
        of_prior, of_this = again.predict(np.stack([prior_S, weights_S])) @ value_M
        gains[number] = of_prior - of_this
    of_prior, of_this = surrogate.predict(np.stack([prior_S, weights_S])) @ value_M
    intervals = tuple(_interval(column) for column in shares.T) if redraws else ()
    gain = _interval(gains) if redraws else Interval(float("nan"), float("nan"))
    return Proposal(weights_S, float(of_this), float(of_prior), intervals, gain)


def lowest(surrogate: Surrogate, value_M: Floats, prior_S: Floats, cap_S: Floats, kl: float) -> Floats:
    """Shares of the lowest `value . loss + kl * KL(w || prior)`, float64[S], adding up to 1."""
    cap_S = caps_of(prior_S, cap_S)
    free = cap_S > 0
    prior, cap = prior_S[free], cap_S[free]

    def whole(w: Floats) -> Floats:
        full = np.zeros(len(prior_S))
        full[free] = w
        return full

    # In units of what a whole source changes: losses of another magnitude would end the search at its start.
    corners = surrogate.predict(np.stack([whole(one) for one in np.eye(len(prior))])) @ value_M
    scale = float(np.ptp(corners)) + kl or 1.0

    def objective(w: Floats) -> float:
        away = float(w @ np.log(np.maximum(w, _LEAST) / prior))
        return (float((surrogate.predict(whole(w)[None]) @ value_M)[0] - corners.min()) + kl * away) / scale

    def slope(w: Floats) -> Floats:
        steep: Floats = surrogate.gradient(whole(w), value_M)[free]
        return (steep + kl * (np.log(np.maximum(w, _LEAST) / prior) + 1.0)) / scale

    found = minimize(
        objective,
        within_caps(prior / prior.sum(), cap),
        jac=slope,
        method="SLSQP",
        bounds=[(_LEAST, top) for top in cap],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if not np.isfinite(found.fun) or abs(found.x.sum() - 1.0) > 1e-6:
        raise CorpusmillError(f"no mixture of the lowest predicted loss was found: {found.message}")
    best: Floats = within_caps(whole(np.clip(found.x, 0.0, cap)), cap_S)
    return best


def caps_of(prior_S: Floats, cap_S: Floats) -> Floats:
    """The largest shares, 0 of sources that the prior leaves out. Raises UserError below 1 in all."""
    found: Floats = np.where(prior_S > 0, np.minimum(cap_S, 1.0), 0.0)
    if found.sum() < 1.0:
        raise UserError(
            f"the sources can give only {found.sum():.1%} of the tokens asked; "
            "ask for fewer, or allow more epochs"
        )
    return found


def within_caps(shares_S: Floats, cap_S: Floats) -> Floats:
    """`shares_S` scaled to add up to 1 with none above its cap: others take what is over, in proportion."""
    shares: Floats = shares_S / shares_S.sum()
    full = np.zeros(len(shares), np.bool_)
    for _ in range(len(shares)):
        over = ~full & (shares > cap_S)
        if not over.any():
            break
        full |= over
        if full.all():
            return cap_S
        rest = 1.0 - cap_S[full].sum()
        others = np.where(full, 0.0, shares)
        total = others.sum()
        if total <= _LEAST:  # nothing to scale: those that are left share alike
            others, total = np.where(full, 0.0, 1.0), float((~full).sum())
        shares = np.where(full, cap_S, others * (rest / total))
    return shares


def simulated(surrogate: Surrogate, value_M: Floats, mixtures_NS: Floats, best: int = 100) -> Floats:
    """RegMix's way to a mixture: the mean of the `best` of many drawn ones, by prediction, float64[S]."""
    predicted_N = surrogate.predict(mixtures_NS) @ value_M
    chosen = np.argsort(predicted_N, kind="stable")[:best]
    return np.asarray(mixtures_NS[chosen].mean(axis=0), np.float64)


def _interval(values: Sequence[float] | Floats) -> Interval:
    low, high = np.quantile(np.asarray(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
