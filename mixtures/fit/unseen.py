"""What a fit predicts of runs that it was not given, beside what they measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpusmill.mixtures.fit.run_table import Floats, RunTable
from corpusmill.mixtures.fit.surrogate import Surrogate, rank_correlation
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.records.fitted_mixture import UnseenRun, UnseenRuns

SAME = 1e-6  # shares that differ by less are of one mixture


def like(path: Path, unseen: RunTable, table: RunTable) -> RunTable:
    """The runs of `unseen`, read from `path`, with the columns of `table` in its order, matched by name.

    Raises DataError where `unseen` lacks a source or a measure of `table` or has more sources, UserError
    where it is empty.
    """
    if set(unseen.sources) != set(table.sources) or not set(table.measures) <= set(unseen.measures):
        raise DataError(
            f"{path}, line 1: runs that were not fitted must be of the same sources and losses: "
            f"{', '.join(table.sources)}; {', '.join(table.measures)}"
        )
    if not len(unseen):
        raise UserError(f"{path}: no run to compare with")
    return RunTable(
        unseen.names,
        table.sources,
        table.measures,
        unseen.weights[:, [unseen.sources.index(name) for name in table.sources]],
        unseen.losses[:, [unseen.measures.index(name) for name in table.measures]],
    )


def of_unseen(
    path: Path, unseen: RunTable, table: RunTable, surrogate: Surrogate, value_M: Floats
) -> UnseenRuns:
    """Predictions of `surrogate`, fitted to `table`, for the runs of `unseen`, read from `path`, which
    has the columns of `table` (see `like`). Raises UserError where it has a mixture that was fitted.
    """
    weights_NS, losses_NM = unseen.weights, unseen.losses
    for name, weights_S in zip(unseen.names, weights_NS, strict=True):
        if (np.abs(table.weights - weights_S).max(axis=1) < SAME).any():
            raise UserError(
                f"{path}: the mixture of run {name} was fitted, so it tells nothing; leave it out"
            )
    predicted_NM = surrogate.predict(weights_NS)
    predicted_N, measured_N = predicted_NM @ value_M, losses_NM @ value_M
    of_mean = float((table.losses @ value_M).mean())
    return UnseenRuns(
        runs={
            name: UnseenRun(float(predicted), float(measured))
            for name, predicted, measured in zip(unseen.names, predicted_N, measured_N, strict=True)
        },
        error=_error(predicted_N - measured_N),
        error_of_mean=_error(of_mean - measured_N),
        rank_correlation=rank_correlation(predicted_N, measured_N),
        error_by_measure=dict(zip(table.measures, map(_error, (predicted_NM - losses_NM).T), strict=True)),
    )


def _error(differences: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(differences**2)))
