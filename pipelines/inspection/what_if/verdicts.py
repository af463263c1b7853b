"""Other verdicts on stored scores: who changes sides, where, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.scored import Scored, scored
from corpusmill.pipelines.inspection.what_if.changes import Asked, Change


@dataclass(frozen=True)
class Judged:
    """Documents of a unit under the other thresholds.

    `at` int64[n]: the link that would remove each (`Chain.kept`: none of those that change); `reasons`
    string[n] of these. `removed` bool[n]: those that a filter would remove which let them pass; `passed`:
    those that the filter which removed them would let pass. `moved`: those still removed, elsewhere or for
    another reason. `unlike` counts verdicts of the run that its own thresholds do not give of these scores.
    """

    scored: Scored
    at: npt.NDArray[np.int64]
    reasons: pa.Array
    removed: npt.NDArray[np.bool_]
    passed: npt.NDArray[np.bool_]
    moved: npt.NDArray[np.bool_]
    unlike: int


def judged_units(record: RunRecord, asked: Asked) -> Iterator[Judged]:
    """Every document that came to the first of the filters that change, units in order."""
    stages = list(dict.fromkeys(change.link.name for change in asked.changes))
    for unit in scored(record, asked.chain, stages, asked.changes[0].number):
        yield judge(unit, asked)


def judge(unit: Scored, asked: Asked) -> Judged:
    """The documents of one unit under the other thresholds."""
    left, old = unit.left, contiguous(unit.table.column("reason"))
    n, kept = len(left), asked.chain.kept
    at = np.full(n, kept, np.int64)
    reasons = pa.nulls(n, pa.string())
    unlike = 0
    for change in reversed(asked.changes):
        came = left >= change.number
        was = verdicts(unit, change, change.before, came)
        here = left == change.number
        same = pc.fill_null(pc.equal(was, old), False).to_numpy(zero_copy_only=False)
        was_removed = was.is_valid().to_numpy(zero_copy_only=False)
        unlike += int((came & np.where(here, ~same, was_removed)).sum())
        found = verdicts(unit, change, change.after, came)
        hit = found.is_valid().to_numpy(zero_copy_only=False)
        at[hit] = change.number
        reasons = pc.if_else(pa.array(hit), found, reasons)
    changing = np.isin(left, [change.number for change in asked.changes])
    stays = (at == kept) & ~changing  # wherever it left, it still does
    at = np.where(stays, left, at)
    reasons = pc.if_else(pa.array(stays), old, reasons)
    removed = at < left
    passed = changing & (at == kept)
    differs = pc.fill_null(pc.not_equal(reasons, old), False).to_numpy(zero_copy_only=False)
    moved = (removed & (left < kept)) | ((at == left) & differs)
    return Judged(unit, at, reasons, removed, passed, moved, unlike)


def verdicts(unit: Scored, change: Change, stage: Filter, came: npt.NDArray[np.bool_]) -> pa.Array:
    """Reasons string[n] of a filter from the stored scores of those that came to it; null for the rest."""
    head = f"{change.link.name}."
    names = [name for name in unit.table.column_names if name.startswith(head)]
    if not names or not came.any():
        return pa.nulls(len(came), pa.string())
    rows = unit.table.select(names).filter(pa.array(came))
    found = stage.judge({name.removeprefix(head): _as_scored(rows.column(name)) for name in names})
    place = np.cumsum(came) - 1
    return found.take(pa.array(place, mask=~came))


def _as_scored(column: pa.ChunkedArray) -> pa.Array | npt.NDArray[Any]:
    """Numbers without nulls as NumPy has them, as most filters give them; anything else as it is."""
    array = contiguous(column)
    if array.null_count == 0 and (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    return array


def names_of(numbers: Sequence[int], asked: Asked) -> list[str]:
    """Links in words: `gopher_quality`, of a mask its step."""
    links = (asked.chain.links[number] for number in numbers)
    return [link.step.name if link.mask else link.name for link in links]
