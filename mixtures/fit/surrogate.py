"""Losses of a mixture predicted from those of other mixtures: two forms, and how well each predicts.

- `linear`: loss = a . w, one coefficient a source (RegMix's linear regression, Liu et al. 2024, arXiv
  2407.01492; weights add up to 1, so an intercept would say nothing new).
- `log_linear`: loss = c + exp(a . w) (data mixing laws, Ye et al. 2024, arXiv 2403.16952; the form that Olmix
  chose among others, Chen et al. 2026, arXiv 2602.12237). It tells what `linear` cannot: that the first
  tokens of a source teach more than later ones.

Coefficients are drawn towards their mean by a ridge penalty, whose strength is chosen, like the form, by the
error of predicting each run from all others (leave one out). N runs, S sources, M measures, B fits at once:
a fit says how often it takes each run, so leaving out and drawing again are fits like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpusmill.mixtures.fit.curves import fitted_curves
from corpusmill.mixtures.fit.run_table import Floats, RunTable

Form = Literal["linear", "log_linear"]
FORMS: tuple[Form, ...] = ("linear", "log_linear")
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class Surrogate:
    """A fitted form: `floor` (c, float64[M]; 0 of `linear`) and `slope` (a, float64[S, M])."""

    form: Form
    ridge: float
    floor: Floats
    slope: Floats

    def predict(self, weights_NS: Floats) -> Floats:
        """Losses of mixtures, float64[N, M]."""
        inner_NM = np.asarray(weights_NS, np.float64) @ self.slope
        found: Floats = self.floor + (inner_NM if self.form == "linear" else np.exp(inner_NM))
        return found

    def gradient(self, weights_S: Floats, value_M: Floats) -> Floats:
        """d(value . loss) / d(weights) at one mixture, float64[S]."""
        outer_M = np.ones_like(value_M) if self.form == "linear" else np.exp(weights_S @ self.slope)
        found: Floats = self.slope @ (value_M * outer_M)
        return found


@dataclass(frozen=True)
class Prediction:
    """How a form predicts runs it has not seen, judged by `value . loss`: root mean squared error, that of
    always guessing the mean of the others, and Spearman's rank correlation; `predicted` in the table's
    order."""

    form: Form
    ridge: float
    error: float
    error_of_mean: float
    rank_correlation: float
    predicted: Floats


def fit(table: RunTable, form: Form, ridge: float) -> Surrogate:
    """The form fitted to all runs, each measure by itself."""
    return fit_many(table, np.ones((1, len(table))), form, ridge)[0]


def fit_many(table: RunTable, counts_BN: Floats, form: Form, ridge: float) -> list[Surrogate]:
    """One fit for each row of `counts_BN`, which says how often it takes each run."""
    weights_NS, losses_NM = table.weights, table.losses
    batch, measures = len(counts_BN), losses_NM.shape[1]
    counts_XN = np.repeat(counts_BN, measures, axis=0)  # X: a measure of a fit
    losses_XN = np.tile(losses_NM.T, (batch, 1))
    if form == "linear":
        floor_X, slope_XS = np.zeros(len(counts_XN)), _lines(weights_NS, losses_XN, counts_XN, ridge)
    else:
        floor_X, slope_XS = fitted_curves(weights_NS, losses_XN, counts_XN, pull(weights_NS.shape[1], ridge))
    floor_BM = floor_X.reshape(batch, measures)
    slope_BSM = slope_XS.reshape(batch, measures, -1).transpose(0, 2, 1)
    return [Surrogate(form, ridge, floor, slope) for floor, slope in zip(floor_BM, slope_BSM, strict=True)]


def pull(sources: int, ridge: float) -> Floats:
    """The penalty on coefficients away from their mean, for each run a fit takes: float64[S, S]."""
    return np.asarray(ridge * (np.eye(sources) - 1.0 / sources), np.float64)


def choose(table: RunTable, value_M: Floats, forms: Sequence[Form] = FORMS) -> tuple[Surrogate, Prediction]:
    """The form and ridge that predict runs left out best, fitted to all runs. Time: N fits of each."""
    judged = [leave_one_out(table, value_M, form, ridge) for form in forms for ridge in RIDGES]
    best = min(judged, key=lambda one: one.error)
    return fit(table, best.form, best.ridge), best


def leave_one_out(table: RunTable, value_M: Floats, form: Form, ridge: float) -> Prediction:
    """Predict each run from all others."""
    n = len(table)
    fits = fit_many(table, 1.0 - np.eye(n), form, ridge)
    predicted_N = np.array([(one.predict(table.weights[at]) @ value_M) for at, one in enumerate(fits)])
    true_N = table.losses @ value_M
    means_N = (true_N.sum() - true_N) / (n - 1)
    return Prediction(
        form,
        ridge,
        _rms(predicted_N - true_N),
        _rms(means_N - true_N),
        rank_correlation(predicted_N, true_N),
        predicted_N,
    )


def rank_correlation(one_N: Floats, other_N: Floats) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; 0 where all are equal."""
    ranks = [_ranks(values) for values in (one_N, other_N)]
    first, second = (rank - rank.mean() for rank in ranks)
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm else 0.0


def _ranks(values_N: Floats) -> Floats:
    _, inverse, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    means: Floats = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return means


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _lines(weights_NS: Floats, losses_XN: Floats, counts_XN: Floats, ridge: float) -> Floats:
    """Slopes of straight lines by ridge regression, float64[X, S]."""
    square_XSS = np.einsum("xn,ns,nt->xst", counts_XN, weights_NS, weights_NS)
    square_XSS += counts_XN.sum(axis=1)[:, None, None] * pull(weights_NS.shape[1], ridge)
    right_XS = np.einsum("xn,ns,xn->xs", counts_XN, weights_NS, losses_XN)
    return np.asarray(np.linalg.solve(square_XSS, right_XS[:, :, None])[:, :, 0], np.float64)
