"""Earlier mixtures used again: only sources that changed are fitted, the others keep their ratios.

When sources are added or changed, a mixture fitted before still says how the others relate. Mixture reuse
(Olmix, Chen et al. 2026, arXiv 2602.12237) keeps these ratios, takes the others together as one source, and
fits that and the changed ones: fewer shares, so fewer runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from corpusmill.mixtures.fit.run_table import Floats, RunTable
from corpusmill.pipelines.contract.errors import DataError, UserError

REUSED = "(reused)"
TOLERANCE = 1e-3  # of a share, from what the ratios make of it


@dataclass(frozen=True)
class Reuse:
    """`ratio`: the share of each source among those reused, float64[S], 0 of changed ones."""

    sources: tuple[str, ...]
    ratio: Floats

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(name for name, ratio in zip(self.sources, self.ratio, strict=True) if ratio == 0)

    @property
    def names(self) -> tuple[str, ...]:
        """The sources that are fitted: those changed, and the others as one."""
        return (*self.changed, REUSED)

    def taken_together(self, weights_NS: Floats) -> Floats:
        """Shares of `names`, float64[N, C + 1]."""
        changed = self.ratio == 0
        return np.column_stack([weights_NS[:, changed], weights_NS[:, ~changed].sum(axis=1)])

    def spread(self, weights_NC: Floats) -> Floats:
        """Shares of all sources from those of `names`, float64[N, S]."""
        found = weights_NC[:, -1:] * self.ratio
        found[:, self.ratio == 0] = weights_NC[:, :-1]
        return np.asarray(found, np.float64)

    def cap(self, cap_S: Floats) -> Floats:
        """The largest shares of `names`: those reused end with the first of them to reach its own."""
        kept = self.ratio > 0
        together = float((cap_S[kept] / self.ratio[kept]).min())
        return np.array([*cap_S[~kept], together])

    def reduced(self, table: RunTable) -> RunTable:
        """The table of `names`. Raises DataError for a run that does not keep the ratios."""
        kept = self.ratio > 0
        inner = table.weights[:, kept]
        off = np.abs(inner - inner.sum(axis=1, keepdims=True) * self.ratio[kept]).max(axis=1)
        if (off > TOLERANCE).any():
            row = int(off.argmax())
            raise DataError(
                f"run {table.names[row]} of the table does not keep the ratios of the mixture that is reused "
                f"(off by {off[row]:.3f}): reuse needs runs made for it, by `corpusmill mixture runs --reuse`"
            )
        return RunTable(
            table.names, self.names, table.measures, self.taken_together(table.weights), table.losses
        )


def reuse_of(sources: tuple[str, ...], earlier: Mapping[str, float], changed: Collection[str]) -> Reuse:
    """Reuse of the mixture `earlier` for all sources it names but those `changed`.

    Raises UserError where no two sources would keep their ratio, or a name is unknown.
    """
    unknown = sorted(set(changed) - set(sources))
    if unknown:
        raise UserError(f"changed source {unknown[0]} is none of the table's: {', '.join(sources)}")
    ratio = np.array([0.0 if name in changed else max(0.0, earlier.get(name, 0.0)) for name in sources])
    if (ratio > 0).sum() < 2:
        raise UserError(
            "reuse keeps the ratios of at least two sources that the earlier mixture has and that did not "
            "change; fit all of them without --reuse"
        )
    return Reuse(sources, ratio / ratio.sum())
