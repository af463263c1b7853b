"""What `corpusmill mixture fit` finds: proposed weights, what is predicted of them, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Between:
    """An interval that holds the value in nine of ten redraws of the runs."""

    low: float
    high: float


@dataclass(frozen=True)
class FittedShare:
    """A source's share: in the prior mixture, proposed, the largest that it can give, and the interval of the
    proposal over redraws."""

    prior: float
    weight: float
    most: float
    between: Between


@dataclass(frozen=True)
class FormError:
    """How one form of regression predicts runs left out: root mean squared error of the objective, and
    Spearman's rank correlation of predicted and measured."""

    error: float
    rank_correlation: float


@dataclass(frozen=True)
class UnseenRun:
    """The objective of one run that was not fitted."""

    predicted: float
    measured: float


@dataclass(frozen=True)
class UnseenRuns:
    """Runs that were not fitted, by name. Errors are root mean squares: of the objective, of guessing the
    mean of the fitted runs instead, and of each measure; `rank_correlation` is Spearman's, of the
    objective."""

    runs: Mapping[str, UnseenRun]
    error: float
    error_of_mean: float
    rank_correlation: float
    error_by_measure: Mapping[str, float]


@dataclass(frozen=True)
class FittedMixture:
    """The proposal. `objective`: the weight of each measure in what is minimised; `predicted` and
    `predicted_of_prior` are in its unit, as are `gain` (prior less proposal) and errors. `error_of_mean`: of
    guessing the mean of the other runs, which a form must beat to tell anything. `simulated`: the mixture
    that RegMix's search finds instead. `prior_from`: what the prior is. `unseen`: runs that
    were not fitted, where any were given."""

    runs: int
    measures: tuple[str, ...]
    objective: Mapping[str, float]
    form: str
    forms: Mapping[str, FormError]
    error_of_mean: float
    kl: float
    prior_from: str
    predicted: float
    predicted_of_prior: float
    gain: Between
    shares: Mapping[str, FittedShare]
    simulated: Mapping[str, float]
    reused: tuple[str, ...]
    warnings: tuple[str, ...]
    unseen: UnseenRuns | None = None
