"""`corpusmill mixture fit`: weights of a mixture from the losses of small runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from corpusmill.mixtures.fit.run_table import Floats, RunTable
    from corpusmill.mixtures.fit.surrogate import Form
    from corpusmill.pipelines.records.fitted_mixture import FittedMixture

SIMULATED = 5_000  # mixtures drawn for RegMix's search
LITTLE = 0.01  # by which a source's share must vary over the runs
MOST = 0.75  # of the runs, that must be of mixtures that differ
FEW = 3  # runs a fitted share, below which a warning is given


def mixture_fit(
    path: Path,
    metrics: Path | None = None,
    *,
    sources: Path | None = None,
    prior: Path | None = None,
    values: Mapping[str, float] | None = None,
    form: Literal["linear", "log_linear"] | None = None,
    kl: float = 0.1,
    tokens: int | None = None,
    max_epochs: float | None = None,
    reuse: Path | None = None,
    changed: Sequence[str] = (),
    unseen: Path | None = None,
    seed: int = 0,
) -> FittedMixture:
    """The mixture of the lowest predicted loss.

    `path` (and `metrics`): a table, see `fit.run_table`. `sources`: a file of `fit.supply`, by default the
    one beside the table; `tokens` and `max_epochs` stand in place of its own. `prior`: weights in YAML, else
    shares of the tokens there are, else the mean of the runs. `values`: the weight of each measure in the
    objective, else all alike. `form`: else the one that predicts runs left out better. `kl` weighs the
    penalty on leaving the prior, in the loss's unit for a nat (Olmix's default is 0.1). `reuse`: weights of
    an earlier mixture, kept in their ratios but for `changed`. `unseen`: a table of runs that are not fitted,
    to compare predictions with (`fit.unseen`).

    Raises DataError for a table that cannot be read, UserError for too few runs or names that are in no
    table.
    """
    import numpy as np

    from corpusmill.mixtures.fit.draws import drawn
    from corpusmill.mixtures.fit.proposal import propose, simulated
    from corpusmill.mixtures.fit.reuse import reuse_of
    from corpusmill.mixtures.fit.run_table import read_table
    from corpusmill.mixtures.fit.supply import read_weights
    from corpusmill.mixtures.fit.surrogate import FORMS, choose
    from corpusmill.mixtures.fit.unseen import like, of_unseen
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.records.fitted_mixture import Between, FittedMixture, FittedShare, FormError

    table = read_table(path, metrics)
    others = None if unseen is None else like(unseen, read_table(unseen), table)
    prior_S, cap_S, prior_from = _prior(table, path, sources, prior, tokens, max_epochs)
    kept = None
    if reuse is not None:
        kept = reuse_of(table.sources, read_weights(reuse), changed)
        prior_S, cap_S = kept.taken_together(prior_S[None])[0], kept.cap(cap_S)
        table, others = kept.reduced(table), others if others is None else kept.reduced(others)
    elif changed:
        raise UserError("--changed names what --reuse does not keep; give --reuse FILE")
    if len(table) < len(table.sources) + 2:
        raise UserError(
            f"{len(table)} runs tell too little of {len(table.sources)} shares: train at least "
            f"{len(table.sources) + 2}, better {FEW * (len(table.sources) + 1)}"
        )
    value_M = _values(table, values)
    forms: Sequence[Form] = FORMS if form is None else (form,)
    judged = {one: choose(table, value_M, (one,)) for one in forms}
    best = min(judged, key=lambda one: judged[one][1].error)
    surrogate, prediction = judged[best]
    found = propose(table, surrogate, value_M, prior_S, cap_S, kl=kl, seed=seed)
    many = np.stack([drawn(prior_S, cap_S, number, seed) for number in range(1, SIMULATED + 1)])
    other = simulated(surrogate, value_M, many)
    names, weights, shares = table.sources, found.weights, found.shares
    low, high = (np.array([getattr(one, end) for one in shares]) for end in ("low", "high"))
    if kept is not None:
        names = kept.sources
        weights, other, low, high, prior_S, cap_S = kept.spread(
            np.stack([weights, other, low, high, prior_S, cap_S])
        )
    rounded: dict[str, FormError] = {
        one: FormError(p.error, p.rank_correlation) for one, (_, p) in judged.items()
    }
    return FittedMixture(
        runs=len(table),
        measures=table.measures,
        objective=dict(zip(table.measures, value_M.tolist(), strict=True)),
        form=best,
        forms=rounded,
        error_of_mean=prediction.error_of_mean,
        kl=kl,
        prior_from=prior_from,
        predicted=found.predicted,
        predicted_of_prior=found.predicted_of_prior,
        gain=Between(found.gain.low, found.gain.high),
        shares={
            name: FittedShare(
                float(prior_S[at]),
                float(weights[at]),
                float(min(cap_S[at], 1.0)),
                Between(float(low[at]), float(high[at])),
            )
            for at, name in enumerate(names)
        },
        simulated=dict(zip(names, other.tolist(), strict=True)),
        reused=() if kept is None else tuple(sorted(set(kept.sources) - set(kept.changed))),
        warnings=tuple(_warnings(table, prediction.error, prediction.error_of_mean, found.gain.low)),
        unseen=None
        if unseen is None or others is None
        else of_unseen(unseen, others, table, surrogate, value_M),
    )


def _prior(
    table: RunTable,
    path: Path,
    sources: Path | None,
    prior: Path | None,
    tokens: int | None,
    max_epochs: float | None,
) -> tuple[Floats, Floats, str]:
    """Prior shares, the largest shares, and what the prior is."""
    from dataclasses import replace

    import numpy as np

    from corpusmill.mixtures.fit.supply import read_supply, read_weights, supply_file
    from corpusmill.pipelines.contract.errors import UserError

    names = table.sources
    beside = supply_file(path)
    file = sources if sources is not None else beside if beside.exists() else None
    cap_S = np.ones(len(names))
    prior_S, prior_from = table.weights.mean(axis=0), "the mean of the runs"
    if file is not None:
        supply = read_supply(file)
        supply = replace(supply, tokens=tokens or supply.tokens, max_epochs=max_epochs or supply.max_epochs)
        cap_S = supply.caps(names)
        prior_S, prior_from = supply.proportional(names), f"shares of the tokens in {file.name}"
    elif tokens is not None or max_epochs is not None:
        raise UserError(
            "--tokens and --max-epochs limit shares by the tokens there are: say how many in --sources FILE"
        )
    if prior is not None:
        weights = read_weights(prior)
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise UserError(f"{prior}: source {unknown[0]} is none of the table's: {', '.join(names)}")
        given = np.array([weights.get(name, 0.0) for name in names])
        if given.sum() == 0:
            raise UserError(f"{prior}: all weights are 0")
        prior_S, prior_from = given / given.sum(), prior.name
    return prior_S, cap_S, prior_from


def _values(table: RunTable, values: Mapping[str, float] | None) -> Floats:
    """The weight of each measure in the objective, adding up to 1."""
    import numpy as np

    from corpusmill.pipelines.contract.errors import UserError

    if not values:
        return np.full(len(table.measures), 1.0 / len(table.measures))
    for name, value in values.items():
        if name not in table.measures:
            raise UserError(f"measure {name} is none of the table's: {', '.join(table.measures)}")
        if not value >= 0:
            raise UserError(f"the value of {name} is {value:g}; it must be 0 or more")
    found = np.array([values.get(name, 0.0) for name in table.measures])
    if found.sum() == 0:
        raise UserError("the values of all measures are 0: nothing would be minimised")
    return np.asarray(found / found.sum(), np.float64)


def _warnings(table: RunTable, error: float, error_of_mean: float, surely: float) -> list[str]:
    import numpy as np

    found = [
        f"the share of {name} hardly varies between the runs, so they tell nothing of it: keep it as it is"
        for name, spread in zip(table.sources, np.ptp(table.weights, axis=0), strict=True)
        if spread < LITTLE
    ]
    different = len(np.unique(table.weights.round(6), axis=0))
    if different < MOST * len(table):
        found.append(
            f"{len(table)} runs are of {different} mixtures: those of one mixture tell of its noise alone"
        )
    wanted = FEW * (len(table.sources) + 1)
    if len(table) < wanted:
        found.append(f"{len(table)} runs are few for {len(table.sources)} shares; {wanted} tell more")
    if error >= error_of_mean:
        found.append(
            "no form predicts a run left out better than the mean of the others: do not use the proposal"
        )
    elif surely <= 0:
        found.append("the gain over the prior is within the noise of the runs")
    return found
