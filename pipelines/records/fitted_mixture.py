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
class FittedMixture:
    """The proposal. `objective`: the weight of each measure in what is minimised; `predicted` and
    `predicted_of_prior` are in its unit, as are `gain` (prior less proposal) and errors. `error_of_mean`: of
    guessing the mean of the other runs, which a form must beat to tell anything. `simulated`: the mixture
    that RegMix's search finds instead. `prior_from`: what the prior is."""

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
