"""Documents that change sides, to be judged by eye: chosen by the run's seed, with their whole texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.inspection.identities import Place, dataset_row
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.inspection.trails import scores_of
from corpusmill.pipelines.inspection.what_if.again import Again
from corpusmill.pipelines.inspection.what_if.answer import Example
from corpusmill.pipelines.inspection.what_if.changes import Asked
from corpusmill.pipelines.inspection.what_if.verdicts import Judged
from corpusmill.pipelines.recipe.models import Recipe

_DRAWS = "what-if examples"


@dataclass(frozen=True)
class _Candidate:
    draw: int
    step: StepRecord
    unit: int
    link: int
    reason: str
    row: dict[str, Any]


@dataclass
class Chosen:
    """The examples of one source and direction: those of the `most` smallest draws."""

    record: RunRecord
    asked: Asked
    direction: str
    most: int
    found: list[_Candidate] = field(default_factory=list)

    def add(
        self, judged: Judged, mask: npt.NDArray[np.bool_], links: npt.NDArray[np.int64], reasons: pa.Array
    ) -> None:
        """Look at the documents of `mask`; `links`, `reasons`: by which filter each would go or went."""
        rows = np.flatnonzero(mask)
        if not self.most or not len(rows):
            return
        unit = judged.scored
        drawn = draws(unit.table.column("id").take(pa.array(rows)), self.record.seed, _DRAWS)
        for at in np.argsort(drawn, kind="stable")[: self.most].tolist():
            row = int(rows[at])
            self.found.append(
                _Candidate(
                    int(drawn[at]),
                    unit.step,
                    unit.unit,
                    int(links[row]),
                    reasons[row].as_py(),
                    unit.table.slice(row, 1).to_pylist()[0],
                )
            )
        self.found.sort(key=lambda one: (one.draw, one.unit))
        del self.found[self.most :]


def with_texts(record: RunRecord, recipe: Recipe | None, chosen: Sequence[Chosen]) -> tuple[Example, ...]:
    """The examples with their texts: of kept ones from the dataset, of removed ones from their source."""
    again = Again(record, recipe)
    made: list[Example] = []
    for group in chosen:
        texts: dict[tuple[str, int, int], tuple[dict[str, str], str]] = {}
        for one in group.found:
            key = one.step.name, one.unit, one.link
            if one.row["row"] < 0 and key not in texts:
                ids = [c.row["id"] for c in group.found if (c.step.name, c.unit, c.link) == key]
                stage = group.asked.chain.links[one.link].name
                texts[key] = again.texts(group.asked.chain.source, one.step, one.unit, stage, ids)
            found, why = texts.get(key, ({}, ""))
            text = found.get(one.row["id"]) if one.row["row"] < 0 else None
            if one.row["row"] >= 0:
                text, why = _of_dataset(one)
            made.append(_example(group, one, text, why))
    return tuple(made)


def _of_dataset(one: _Candidate) -> tuple[str | None, str]:
    place = Place(one.step.name, one.unit, one.row["row"], one.row["id"])
    try:
        return dataset_row(one.step, place, without=("raw",))["text"], ""
    except NotKeptError as error:
        return None, str(error)


def _example(group: Chosen, one: _Candidate, text: str | None, why: str) -> Example:
    link = group.asked.chain.links[one.link]
    return Example(
        direction=cast("Literal['removed', 'passed']", group.direction),
        source=group.asked.chain.source.name,
        id=one.row["id"],
        lang=one.row["lang"],
        bytes=one.row["bytes"],
        stage=link.step.name if link.mask else link.name,
        reason=one.reason,
        scores=scores_of(link.name, one.row),
        text=text,
        why_not=why if text is None else None,
    )
