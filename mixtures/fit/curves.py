"""Many curves loss = c + exp(a . w) at once, by least squares.

Levenberg and Marquardt's method (Marquardt 1963), all problems side by side: a step that lowers the sum of
squares is taken, else the damping grows. X problems, N runs, S sources. c is low - spread * exp(g), so it
lies below the lowest loss, by at most e^2 times the spread of the losses: farther, curves are straight lines.
"""

from __future__ import annotations

import numpy as np

from corpusmill.mixtures.fit.run_table import Floats

STEPS = 200
_G = (-8.0, 2.0)  # range of g
_SLOPE = 50.0  # largest coefficient
_STOP = 1e-10  # relative fall of the sum of squares


def fitted_curves(
    weights_NS: Floats, losses_XN: Floats, counts_XN: Floats, pull_SS: Floats
) -> tuple[Floats, Floats]:
    """c, float64[X], and a, float64[X, S].

    `counts_XN`: how often each problem takes each run. `pull_SS`: the penalty a' pull a for each run taken.
    """
    taken_XN = counts_XN > 0
    low_X = np.where(taken_XN, losses_XN, np.inf).min(axis=1)
    spread_X = np.where(taken_XN, losses_XN, -np.inf).max(axis=1) - low_X
    spread_X = np.maximum(spread_X, 1e-9 * np.maximum(1.0, np.abs(low_X)))
    penalty_XSS = counts_XN.sum(axis=1)[:, None, None] * pull_SS
    size = weights_NS.shape[1] + 1
    x = np.zeros((len(losses_XN), size))  # g, then a
    x[:, 1:] = np.log(2.0 * spread_X)[:, None]

    def value(x: Floats) -> tuple[Floats, Floats, Floats]:
        """Sum of squares, residuals and exp(a . w)."""
        outer_XN = np.exp(x[:, 1:] @ weights_NS.T)
        error_XN = (low_X - spread_X * np.exp(x[:, 0]))[:, None] + outer_XN - losses_XN
        away_X = np.einsum("xs,xst,xt->x", x[:, 1:], penalty_XSS, x[:, 1:])
        return (counts_XN * error_XN**2).sum(axis=1) + away_X, error_XN, outer_XN

    cost_X, error_XN, outer_XN = value(x)
    damping_X = np.full(len(x), 1e-3)
    open_X = np.ones(len(x), np.bool_)
    for _ in range(STEPS):
        slope_XNP = np.empty((*error_XN.shape, size))
        slope_XNP[:, :, 0] = (-spread_X * np.exp(x[:, 0]))[:, None]
        slope_XNP[:, :, 1:] = outer_XN[:, :, None] * weights_NS
        weighted = counts_XN[:, :, None] * slope_XNP
        square_XPP = np.einsum("xnp,xnq->xpq", weighted, slope_XNP)
        square_XPP[:, 1:, 1:] += penalty_XSS
        down_XP = np.einsum("xnp,xn->xp", weighted, error_XN)
        down_XP[:, 1:] += np.einsum("xst,xt->xs", penalty_XSS, x[:, 1:])
        diagonal = np.einsum("xpp->xp", square_XPP)
        damped = square_XPP + np.eye(size) * (damping_X[:, None] * diagonal + 1e-12)[:, :, None]
        step_XP = np.linalg.solve(damped, down_XP[:, :, None])[:, :, 0]
        tried = x - step_XP
        tried[:, 0] = np.clip(tried[:, 0], *_G)
        tried[:, 1:] = np.clip(tried[:, 1:], -_SLOPE, _SLOPE)
        cost, error, outer = value(tried)
        better_X = open_X & (cost < cost_X)
        little_X = better_X & (cost_X - cost <= _STOP * (cost_X + 1e-300))
        x[better_X], cost_X = tried[better_X], np.where(better_X, cost, cost_X)
        error_XN[better_X], outer_XN[better_X] = error[better_X], outer[better_X]
        damping_X = np.where(better_X, damping_X * 0.3, damping_X * 4.0)
        open_X &= ~little_X & (damping_X < 1e12)
        if not open_X.any():
            break
    return low_X - spread_X * np.exp(x[:, 0]), x[:, 1:]
