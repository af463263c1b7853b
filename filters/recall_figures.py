"""`recall_figures`: the rounds of a recall loop as tables, for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Task

_ROUND = (
    *("round", "positives", "negatives", "precision", "recall", "seed_recall", "pages", "hits", "sites"),
    *("joined", "in_sites", "found", "new", "gain"),
)
_SITE = ("site", "pages", "hits", "near")


class RecallFigures(Task):
    """Tell what each round of a recall loop did, and which sites the last one joined, the largest first.

    Artefact: rounds.json of the last round; its tables are the step's summary.
    """

    artefacts: ClassVar[tuple[str, ...]] = ("round",)

    sites_shown: int = Field(50, ge=0, description="Most joined sites that reports list.")

    _file: Path | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.recall_rounds import FILE

        ready = self.model_copy()
        ready._file = context.artefact("round", FILE)
        return ready

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """Write the artefact; returns the tables."""
        from corpusmill.filters.rules.recall_rounds import Rounds
        from corpusmill.pipelines.records.summary_table import SummaryTable, summary_of

        if self._file is None:
            raise RuntimeError("recall_figures needs its rounds: call prepare first")
        found = Rounds.read(self._file)
        found.write(folder)
        sites = sorted(found.joined, key=lambda one: (-one.hits, one.site))[: self.sites_shown]
        return summary_of(
            SummaryTable.of("Rounds of the recall loop", _ROUND, found.rounds),
            SummaryTable.of("Sites that joined, by hits", _SITE, sites),
        )
