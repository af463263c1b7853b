"""Documents of a run drawn at random, with their whole texts: kept ones, or those removed for a reason.

The draw follows from the seed and the documents' ids: the same documents whatever the number of workers was.
Time: one reading of ids and reasons, and a row group of text a document drawn. A document that its source's
steps removed is read again from its source, which the recipe tells (`what_if.again`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.inspection.displaced import text_seen
from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.kept_text import kept_document
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table
from corpusmill.pipelines.inspection.what_if.again import Again
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.storage.datasets import DatasetView

_DRAW = "sample"
_LISTED = [
    "unit",
    "row",
    "id",
    "source",
    "stage",
    "kind",
    "reason",
    "bytes",
    "lang",
    "position",
    "detail",
    "excerpt",
]


@dataclass(frozen=True)
class SampledDocument:
    """A document drawn; `text` is None where it is nowhere to be read any more, and `why_not` says why. Of a
    kept one `step`, `stage` and `reason` are None."""

    id: str
    source: str
    lang: str | None
    bytes: int
    step: str | None
    stage: str | None
    reason: str | None
    detail: str | None
    text: str | None
    why_not: str | None = None
    position: str | None = None  # file and place of what never became a document
    excerpt: str | None = None  # the beginning of the text, of some that the run stored it of


@dataclass(frozen=True)
class _Drawn:
    """A row of a table with its place; `order` is its draw, then its place."""

    order: tuple[int, int, int]
    row: dict[str, Any]
    step: StepRecord | None = None
    file_unit: int = 0


def sample(
    record: RunRecord,
    *,
    count: int = 20,
    seed: int = 0,
    source: str | None = None,
    lang: str | None = None,
    removed: bool = False,
    reason: str | None = None,
    stage: str | None = None,
    recipe: Recipe | None = None,
) -> list[SampledDocument]:
    """`count` documents in the order of their draws; fewer where there are not as many.

    `reason` and `stage` ask for removed or quarantined documents, as does `removed`. Raises UserError for a
    source, reason or stage that the run has none of.
    """
    names = [one.name for one in record.sources]
    if source is not None and source not in names:
        raise UserError(f"the run has no source {source}; {nearest(source, names)}")
    wants_removed = removed or reason is not None or stage is not None
    if not wants_removed:
        found = _smallest(_kept(record, seed, count, source, lang), count)
        view = record.view()
        return [_kept_document(record, view, one) for one in found]
    seen: dict[str, set[str]] = {"reason": set(), "stage": set()}
    found = _smallest(_removed(record, seed, count, source, lang, reason, stage, seen), count)
    for what, asked in (("reason", reason), ("stage", stage)):
        if not found and asked is not None and asked not in seen[what]:
            raise UserError(f"nothing was removed for {what} {asked}; {nearest(asked, sorted(seen[what]))}")
    return _removed_documents(record, recipe, found)


def _smallest(rows: Iterator[_Drawn], count: int) -> list[_Drawn]:
    return heapq.nsmallest(count, rows, key=lambda one: one.order)


def _kept(record: RunRecord, seed: int, count: int, source: str | None, lang: str | None) -> Iterator[_Drawn]:
    """Of each batch the `count` documents of the smallest draws."""
    names = frozenset(("id", "source", "lang", "bytes", "unit", "row"))
    for table in documents_table(record).batches(names):
        drawn = draws(table.column("id").combine_chunks(), seed, _DRAW)
        chosen = _of(table, source=source, lang=lang)
        for at in chosen[np.argsort(drawn[chosen], kind="stable")][:count].tolist():
            row = table.slice(at, 1).to_pylist()[0]
            yield _Drawn((int(drawn[at]), row["unit"], row["row"]), row)


def _removed(
    record: RunRecord,
    seed: int,
    count: int,
    source: str | None,
    lang: str | None,
    reason: str | None,
    stage: str | None,
    seen: dict[str, set[str]],
) -> Iterator[_Drawn]:
    for number, step in enumerate(record.removing()):
        for unit in step.units:
            if not has_removed(unit):
                continue
            start = 0
            for batch in arrow_batches(removed_path(step.data, unit.unit), _LISTED):
                for what in ("reason", "stage"):
                    seen[what] |= set(batch.column(what).unique().to_pylist())
                drawn = draws(batch.column("id").fill_null(""), seed, _DRAW)
                chosen = _of(batch, source=source, lang=lang, reason=reason, stage=stage)
                for at in chosen[np.argsort(drawn[chosen], kind="stable")][:count].tolist():
                    row = batch.slice(at, 1).to_pylist()[0]
                    order = int(drawn[at]), number, unit.unit << 32 | (start + at)
                    yield _Drawn(order, row, step, unit.unit)
                start += batch.num_rows


def _of(table: Any, **asked: str | None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of a table or batch with these values, int64[k]."""
    chosen = np.ones(table.num_rows, np.bool_)
    for name, value in asked.items():
        if value is not None:
            same = pc.fill_null(pc.equal(table.column(name), value), False)
            chosen &= np.asarray(same, np.bool_)
    return np.flatnonzero(chosen)


def _kept_document(record: RunRecord, view: DatasetView, one: _Drawn) -> SampledDocument:
    row = one.row
    text, why = None, None
    try:
        text = kept_document(record, view, row["unit"], row["row"], row["id"])["text"]
    except NotKeptError as error:
        why = str(error)
    return SampledDocument(
        row["id"], row["source"], row["lang"], row["bytes"], None, None, None, None, text, why
    )


def _removed_documents(
    record: RunRecord, recipe: Recipe | None, found: Sequence[_Drawn]
) -> list[SampledDocument]:
    again = Again(record, recipe)
    sources = {source.name: source for source in [*record.sources, *record.beside]}
    asked: dict[tuple[str, int, str, str], list[str]] = {}
    for one in found:
        assert one.step is not None
        if one.row["row"] is None and one.row["id"] is not None:
            key = one.step.name, one.file_unit, one.row["stage"], one.row["source"]
            asked.setdefault(key, []).append(one.row["id"])
    texts = {
        key: again.texts(sources[key[3]], record.steps[key[0]], key[1], key[2], ids)
        for key, ids in asked.items()
        if key[3] in sources
    }
    return [_removed_document(record, sources, texts, one) for one in found]


def _removed_document(
    record: RunRecord,
    sources: dict[str, SourceRecord],
    texts: dict[tuple[str, int, str, str], tuple[dict[str, str], str]],
    one: _Drawn,
) -> SampledDocument:
    row, step = one.row, one.step
    assert step is not None
    text: str | None = None
    why: str | None = "it never became a document of the run"
    if row["row"] is not None and step.operator.writes == "removals":
        unit = one.file_unit if row["unit"] is None else row["unit"]  # a late filter's lists leave it out
        try:
            text, why = text_seen(record, step, row["source"], (unit, row["row"])), None
        except NotKeptError as error:
            why = str(error)
    elif row["id"] is not None and row["row"] is None:
        key = step.name, one.file_unit, row["stage"], row["source"]
        read, reason = texts.get(key, ({}, "its source is no longer in the run"))
        text = read.get(row["id"])
        why = None if text is not None else reason
    return SampledDocument(
        row["id"] or "",
        row["source"],
        row["lang"],
        row["bytes"],
        step.name,
        row["stage"],
        row["reason"],
        row["detail"],
        text,
        why,
        row["position"] if row["id"] is None else None,
        row["excerpt"] if text is None else None,
    )
