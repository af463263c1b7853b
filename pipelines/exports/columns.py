"""The columns of an export of documents, and its rows: what `run.documents()` keeps, with scores."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.documents import BESIDE, SCHEMA
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.kept_documents import TEST, TRAIN
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.scored import Chain, chain_of, kept_scores, score_fields, scoring
from corpusmill.pipelines.inspection.tables.documents import families_of, unit_rows
from corpusmill.pipelines.inspection.tables.table import Column, Table

SCORES = "scores"
_USUAL = (*SCHEMA.names, "site")
_READ = frozenset(("unit", "row", "source", "lang", "license", "bytes", "held_out"))


@dataclass(frozen=True)
class Columns:
    """`names` in the order of the files, `scores` last; `about` tells what each of the others means.

    `scores`: name in the column `scores` -> the field of the stored score, `<stage>.<score>`."""

    names: tuple[str, ...]
    about: Mapping[str, Column]
    scores: Mapping[str, pa.Field]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files."""
        fields = [pa.field(name, self.about[name].type) for name in self.names if name != SCORES]
        if self.scores:
            inner = pa.struct([pa.field(name, field.type) for name, field in self.scores.items()])
            fields.append(pa.field(SCORES, inner))
        return pa.schema(fields)


@dataclass(frozen=True)
class KeptRows:
    """Rows of one batch of the run: `unit` of the view, `batch` in the unit; a table a split, not empty, with
    the columns of the export, and beside it one with `lang`, `license` and `bytes`."""

    source: str
    unit: int
    batch: int
    splits: Mapping[str, tuple[pa.Table, pa.Table]]


def chosen_sources(record: RunRecord, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The sources to export; None: all. Raises UserError for one that the run has not."""
    known = sorted(record.recipe["sources"])
    for name in asked or ():
        if name not in known:
            raise UserError(f"the run has no source {name!r}; {nearest(name, known)}")
    return tuple(known if asked is None else dict.fromkeys(asked))


def chosen_columns(
    record: RunRecord, table: Table, sources: Sequence[str], asked: Sequence[str] | None
) -> Columns:
    """The columns to export; None: those of the document schema, `site`, and all scores.

    Raises UserError for one that there is not.
    """
    about = {column.name: column for column in table.columns if column.name in (*SCHEMA.names, *BESIDE)}
    scores = _score_names([chain_of(record, one) for one in record.sources if one.name in sources], record)
    if asked is None:
        return Columns((*_USUAL, *([SCORES] if scores else [])), about, scores)
    single = {f"{SCORES}.{name}": name for name in scores}
    known = [*about, *([SCORES] if scores else []), *single]
    for name in asked:
        if name not in known:
            raise UserError(f"the documents have no column {name!r}; {nearest(name, known)}")
    names = tuple(dict.fromkeys(name for name in asked if name in about))
    if SCORES not in asked:
        scores = {single[name]: scores[single[name]] for name in dict.fromkeys(asked) if name in single}
    return Columns((*names, *([SCORES] if scores else [])), about, scores)


def _score_names(chains: Sequence[Chain], record: RunRecord) -> dict[str, pa.Field]:
    """Scores by their name in SQL, `<stage>_<score>`; of two with one name the second has its stored one."""
    fields: dict[str, pa.Field] = {}
    for chain in chains:
        for found in score_fields(record, chain, scoring(chain)).values():
            for field in found or ():
                fields.setdefault(field.name, field)
    named: dict[str, pa.Field] = {}
    for name, field in sorted(fields.items()):
        plain = name.replace(".", "_")
        named[name if plain in named else plain] = field
    return named


def kept_rows(
    record: RunRecord, sources: Sequence[str], columns: Columns, after: tuple[int, int] | None
) -> Generator[KeptRows, None, None]:
    """Rows of the sources in the run's order, behind the batch `after` (unit and batch of a `KeptRows`).

    Memory: a row group, and the scores of one unit.
    """
    view, schema, families = record.view(), columns.schema, families_of(record)
    by_folder = {source.last.data.path: source for source in record.sources}
    names = frozenset(columns.names) - {SCORES} | _READ
    for unit in range(len(view)):
        folder, number = view.place(unit)
        source = by_folder[folder.path]
        if source.name not in sources or (after is not None and unit < after[0]):
            continue
        scores = _Scores(record, chain_of(record, source), number, columns) if columns.scores else None
        for batch, table in enumerate(unit_rows(view, families, unit, names)):
            if (after is None or (unit, batch) > after) and table.num_rows:
                chosen = [table.column(name) for name in columns.names if name != SCORES]
                if scores is not None:
                    chosen.append(scores.of(table.column("row").to_numpy()))
                made = pa.table(chosen, names=list(columns.names)).cast(schema)
                yield KeptRows(source.name, unit, batch, _by_split(table, made))


def _by_split(table: pa.Table, made: pa.Table) -> dict[str, tuple[pa.Table, pa.Table]]:
    held_out = table.column("held_out")
    facts = table.select(["lang", "license", "bytes"])
    if held_out.null_count == len(held_out):  # as mostly: nothing is copied
        return {TRAIN: (made, facts)}
    found = {}
    trained = pc.is_null(held_out)
    for split, mask in ((TRAIN, trained), (TEST, pc.invert(trained))):
        part = made.filter(mask)
        if part.num_rows:
            found[split] = part, facts.filter(mask)
    return found


class _Scores:
    """The scores of one unit of a source, as the column `scores` of chosen rows."""

    def __init__(self, record: RunRecord, chain: Chain, unit: int, columns: Columns) -> None:
        self._fields = columns.scores
        found = kept_scores(record, chain, unit, [field.name for field in columns.scores.values()])
        self._table, self._rows = found, np.asarray(found.column("row").to_numpy(), np.int64)

    def of(self, rows: npt.NDArray[np.int64]) -> pa.Array:
        """struct[n] of rows of the unit; null where no filter gave the score."""
        place = pa.array(np.searchsorted(self._rows, rows))
        arrays = [
            self._table.column(field.name).take(place).combine_chunks().cast(field.type)
            if field.name in self._table.column_names
            else pa.nulls(len(rows), field.type)
            for field in self._fields.values()
        ]
        fields = [pa.field(name, field.type) for name, field in self._fields.items()]
        return pa.StructArray.from_arrays(arrays, fields=fields)
