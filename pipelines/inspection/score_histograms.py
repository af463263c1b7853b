"""How every score of a run is distributed, by source and language, with the limits that judge by it.

Documents that were removed count too: those that a filter removed itself, and those that it let pass,
whatever became of them. Of a source of many units an even spread is measured; the figures say how much.
Memory: the scores of one filter, of the documents measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.rules import floats
from corpusmill.pipelines.contract.thresholds import Line
from corpusmill.pipelines.inspection.limits import lines_of
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.scored import Chain, Link, chain_of, scored

UNITS = 64  # of each step of a source
LANGUAGES = 3  # of a source, those of most documents
BARS = 40
UNKNOWN = "(unknown)"
_TAIL = 0.005  # of the documents at either end stand in the first and the last bar
_LOGARITHMIC = 20  # how many times the median the largest value is where bars grow with them


@dataclass(frozen=True)
class ScoreBar:
    """Documents of scores from `from_` up to `to`: those that the filter removed, and those that it let pass.
    The first and the last bar of a distribution also hold what lies beyond them."""

    from_: float
    to: float
    passed: int
    removed: int


@dataclass(frozen=True)
class ScoreLine:
    """A limit: documents `under` or `over` it are removed for `reason`; `option` holds it."""

    side: Literal["under", "over"]
    value: float
    option: str
    reason: str


@dataclass(frozen=True)
class ScoreGroup:
    """The documents of a language, or of all (None): how many, how many have no such score, its median, the
    limits that hold for them, and the bars."""

    language: str | None
    documents: int
    without: int
    median: float | None
    lines: tuple[ScoreLine, ...]
    bars: tuple[ScoreBar, ...]


@dataclass(frozen=True)
class ScoreDistribution:
    """One score of a source, measured in `units` of `of_units`. `constant`: the value that all
    documents have, None where they differ. `scale`: whether bars are of equal width
    or grow with their values. `kept_known`: whether documents that were kept are among them."""

    source: str
    step: str
    stage: str
    score: str
    units: int
    of_units: int
    scale: Literal["linear", "logarithmic"]
    kept_known: bool
    groups: tuple[ScoreGroup, ...]
    constant: float | None = None


def score_distributions(record: RunRecord, step: str | None = None) -> tuple[ScoreDistribution, ...]:
    """Every number that filters gave, by source in the order of their work; of one step where it is named."""
    return tuple(
        found
        for source in record.sources
        if source.whole
        for chain in [chain_of(record, source)]
        for number, link in enumerate(chain.links)
        if step is None or link.step.name == step
        for found in _of_link(record, chain, number, link)
    )


def _of_link(record: RunRecord, chain: Chain, number: int, link: Link) -> Iterator[ScoreDistribution]:
    if (
        number == 0
        or (link.mask and link.step.operator.reads != "documents")
        or chain.named(link.name) != [number]
    ):
        return  # a reader, a deduplication, or scores that another stage of this name replaced
    tables, left = [], []
    for unit in scored(record, chain, [link.name], number, UNITS):
        tables.append(unit.table.select([n for n in unit.table.column_names if _is_of(n, link.name)]))
        left.append(unit.left)
    if not tables:
        return
    table = pa.concat_tables(tables, promote_options="permissive")
    here = np.concatenate(left) == number
    lines = lines_of(link)
    languages = pc.fill_null(table.column("lang"), UNKNOWN).combine_chunks()
    of_units = len(chain.source.last.units)
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name == "lang" or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            continue
        values = floats(table.column(name).combine_chunks())
        score = name.removeprefix(f"{link.name}.")
        mine = [line for line in lines if line.score == score]
        edges, scale = _edges(values, mine)
        yield ScoreDistribution(
            source=chain.source.name,
            step=link.step.name,
            stage=link.name,
            score=score,
            units=min(UNITS, of_units),
            of_units=of_units,
            scale=scale,
            kept_known=chain.left_out is None,
            groups=tuple(_groups(values, here, languages, edges, mine)),
            constant=_constant(values),
        )


def _constant(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known[0]) if len(known) and bool((known == known[0]).all()) else None


def _is_of(name: str, stage: str) -> bool:
    return name == "lang" or name.startswith(f"{stage}.")


def _groups(
    values: npt.NDArray[np.float64],
    here: npt.NDArray[np.bool_],
    languages: pa.Array,
    edges: npt.NDArray[np.float64],
    lines: Sequence[Line],
) -> Iterator[ScoreGroup]:
    counts: Mapping[str, int] = {
        entry["values"]: entry["counts"] for entry in pc.value_counts(languages).to_pylist()
    }
    common = sorted(counts, key=lambda name: (-counts[name], name))[:LANGUAGES]
    every = np.ones(len(values), np.bool_)
    for language in [None, *(common if len(counts) > 1 else [])]:
        mask = every
        if language is not None:
            mask = pc.equal(languages, language).to_numpy(zero_copy_only=False)
        own = [line for line in lines if line.group == language] if language is not None else []
        holding = own or [line for line in lines if line.group is None]
        yield _group(language, values[mask], here[mask], edges, holding)


def _group(
    language: str | None,
    values: npt.NDArray[np.float64],
    here: npt.NDArray[np.bool_],
    edges: npt.NDArray[np.float64],
    lines: Sequence[Line],
) -> ScoreGroup:
    known = np.isfinite(values)
    shown = np.clip(values[known], edges[0], edges[-1])
    removed = np.histogram(shown[here[known]], edges)[0]
    passed = np.histogram(shown[~here[known]], edges)[0]
    bars = zip(edges[:-1].tolist(), edges[1:].tolist(), passed.tolist(), removed.tolist(), strict=True)
    return ScoreGroup(
        language=language,
        documents=len(values),
        without=int((~known).sum()),
        median=float(np.median(values[known])) if known.any() else None,
        lines=tuple(ScoreLine(line.side, line.value, line.option, line.reason) for line in lines),
        bars=tuple(ScoreBar(*bar) for bar in bars),
    )


def _edges(
    values: npt.NDArray[np.float64], lines: Sequence[Line]
) -> tuple[npt.NDArray[np.float64], Literal["linear", "logarithmic"]]:
    """Edges of the bars, one of them at the first limit within."""
    known = values[np.isfinite(values)]
    low, high = (float(x) for x in np.quantile(known, (_TAIL, 1 - _TAIL))) if len(known) else (0.0, 1.0)
    limits = [line.value for line in lines if line.group is None]
    near = [x for x in limits if low - 2 * (high - low) <= x <= high + 2 * (high - low)]
    low, high = min([low, *near]), max([high, *near])
    whole = len(known) > 0 and bool((known == np.round(known)).all())
    if whole and high - low <= BARS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5), "linear"
    if high <= low:
        low, high = low - 0.5, high + 0.5
    positive = known[known > 0]
    least = float(np.quantile(positive, _TAIL)) if len(positive) else 0.0
    if low >= 0 and least > 0 and high / float(np.median(positive)) > _LOGARITHMIC:
        start = min([least, *(x for x in near if x > 0)])
        return _with_edge(np.geomspace(start, high, BARS + 1), near), "logarithmic"
    return _with_edge(np.linspace(low, high, BARS + 1), near), "linear"


def _with_edge(edges: npt.NDArray[np.float64], limits: Sequence[float]) -> npt.NDArray[np.float64]:
    """The edge nearest to the first limit within moved there."""
    inside = [x for x in limits if edges[0] < x < edges[-1]]
    if not inside:
        return edges
    moved = edges.copy()
    at = 1 + int(np.argmin(np.abs(edges[1:-1] - inside[0])))
    moved[at] = inside[0]
    return np.unique(moved)
