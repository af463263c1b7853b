"""Scores that a run stored, unit by unit: of the documents it kept and of those it removed, without a text.

Of what a source's steps kept, scores are columns of its dataset; of what they removed, JSON beside the row of
the removed document. A late filter keeps them by row. Memory: one unit's columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import UserError, damaged
from corpusmill.pipelines.contract.rooms import ROOMS, stage_files
from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.recipe.registry import find, find_step
from corpusmill.pipelines.records.manifest import NotKept, StageKey
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.storage.datasets import DatasetView, unit_file
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.removed_scores import from_details
from corpusmill.pipelines.storage.text_sizes import text_sizes

READ = "read"  # how what a reader loses is listed
_COLUMNS = ["id", "stage", "kind", "reason", "bytes", "lang", "detail"]


@dataclass(frozen=True)
class Link:
    """A stage that documents of a source come to: its step, its name, its key, whether it is of a mask."""

    step: StepRecord
    name: str
    key: StageKey
    mask: bool


@dataclass(frozen=True)
class Chain:
    """All stages that documents of a source come to, in order: those of its steps, then the masks."""

    source: SourceRecord
    links: tuple[Link, ...]

    @property
    def kept(self) -> int:
        """What stands for the place where a document left that none of the links removed."""
        return len(self.links)

    def at(self, step: str, stage: str) -> int | None:
        """The number of a link; None for a stage that is none."""
        found = (n for n, link in enumerate(self.links) if (link.step.name, link.name) == (step, stage))
        return next(found, None)

    def named(self, stage: str) -> list[int]:
        """Numbers of the links whose stage has this name."""
        return [number for number, link in enumerate(self.links) if link.name == stage]

    @cached_property
    def left_out(self) -> NotKept | None:
        """What says that the source's documents were not kept; None where they are there."""
        return not_kept(self.source.last.data.path)


def filter_of(link: Link) -> type[Stage]:
    """The class of a link's stage. Raises CorpusmillError where no code of that name is at hand, such as of a
    plugin whose recipe was not given."""
    if not link.mask:
        return find_step(link.name)
    for room in ROOMS:
        if link.name in stage_files(room):
            return find(room, link.name)
    raise UserError(f"no code of a stage {link.name} is installed")


def chain_of(record: RunRecord, source: SourceRecord) -> Chain:
    """The stages of a whole source, and the masks of the run behind them."""
    links: list[Link] = []
    for step in source.steps:
        read = step.operator.reads == "splits"
        for number, key in enumerate(step.stages):
            links.append(Link(step, READ if read and number == 0 else key.name, key, False))
    masks = [mask for mask in record.masks if source.name in mask.inputs]
    links += [Link(mask, mask.stages[-1].name, mask.stages[-1], True) for mask in masks]
    return Chain(source, tuple(links))


@dataclass(frozen=True)
class Scored:
    """Documents of one unit of a step, kept or removed by the step.

    `table`: `id`, `lang`, `reason` string[n] (null unless removed), `bytes` int64[n] of the text where the
    document left, or as the dataset holds it, `left` int64[n], the number of the link that removed it
    (`Chain.kept`: none did), `row` int64[n] in the source's dataset (-1: it is not there), and the score
    columns asked for, null where the document never came to the stage.
    """

    step: StepRecord
    unit: int
    table: pa.Table

    @property
    def left(self) -> npt.NDArray[np.int64]:
        """The column `left`, int64[n]."""
        return np.asarray(self.table.column("left").to_numpy(), np.int64)


def scored(
    record: RunRecord, chain: Chain, stages: Sequence[str], least: int, most: int | None = None
) -> Iterator[Scored]:
    """Documents that came to link number `least`, with the scores of `stages`, units in order; of at most
    `most` units of each step, evenly spread.

    Of documents that the run did not keep (`Chain.left_out`) those removed before a mask are told alone. What
    was quarantined is told nowhere. Raises IntegrityError for files that are damaged.
    """
    fields = score_fields(record, chain, stages)
    for step in chain.source.steps:
        numbers = {link.name: n for n, link in enumerate(chain.links) if link.step is step}
        if max(numbers.values(), default=-1) < least:
            continue
        for receipt in _spread(step.units, most):
            if has_removed(receipt):
                yield _removed(step, receipt, numbers, least, fields)
    if chain.left_out is None:
        for receipt in _spread(chain.source.last.units, most):
            yield _kept(record, chain, receipt, least, fields)


def scoring(chain: Chain) -> list[str]:
    """Stages of a source that give scores: readers do not, nor deduplication that removes by address."""
    links = [link for link in chain.links[1:] if not link.mask or link.step.operator.reads == "documents"]
    return list(dict.fromkeys(link.name for link in links))


def kept_scores(record: RunRecord, chain: Chain, unit: int, names: Sequence[str]) -> pa.Table:
    """The scores `names` (`<stage>.<score>`) of one unit of a source's last dataset: `row` int64[n], sorted,
    and a column for each that the unit has."""
    stages = list(dict.fromkeys(name.split(".", 1)[0] for name in names))
    asked = {stage: found for stage, found in score_fields(record, chain, stages).items() if found}
    chosen = {stage: [field for field in found if field.name in names] for stage, found in asked.items()}
    table = _kept(record, chain, chain.source.last.units[unit], 0, chosen).table
    return table.select(["row", *(name for name in names if name in table.column_names)])


def _spread(units: Sequence[Receipt], most: int | None) -> Sequence[Receipt]:
    if most is None or len(units) <= most:
        return units
    return [units[k * len(units) // most] for k in range(most)]


def score_fields(record: RunRecord, chain: Chain, stages: Sequence[str]) -> dict[str, list[pa.Field] | None]:
    """Score columns of each of the stages, as its first file has them; None where no file tells."""
    found: dict[str, list[pa.Field] | None] = dict.fromkeys(stages)
    for link in chain.links:
        if link.name not in found:
            continue
        if link.mask:
            files = (unit_scores(link.step, unit.unit) for unit in link.step.units)
        else:
            units = () if chain.left_out is not None else chain.source.last.units
            files = (unit_file(chain.source.last.data, unit.unit) for unit in units)
        for file in files:
            fields = [field for field in pq.read_schema(file) if field.name.startswith(f"{link.name}.")]
            if fields:
                found[link.name] = fields
                break
    return found


def unit_scores(mask: StepRecord, unit: int) -> Path:
    """The file of the scores that a late filter gave to the documents of one unit of its view."""
    return mask.data.file(f"{unit:05d}.scores.parquet")


def _removed(
    step: StepRecord,
    receipt: Receipt,
    numbers: Mapping[str, int],
    least: int,
    fields: Mapping[str, list[pa.Field] | None],
) -> Scored:
    """What a source's step removed in one unit, at link `least` or later."""
    names = list(numbers)
    table = pa.Table.from_batches(list(arrow_batches(removed_path(step.data, receipt.unit), _COLUMNS)))
    table = table.filter(pc.equal(table.column("kind"), "removed")).combine_chunks()
    places = pc.index_in(table.column("stage"), pa.array(names, pa.string()))
    left = np.array([*numbers.values(), -1])[pc.fill_null(places, len(names)).to_numpy()]
    chosen = left >= max(least, 1)
    table, left = table.filter(pa.array(chosen)), left[chosen]
    columns = {
        **{name: table.column(name) for name in ("id", "lang", "reason", "bytes")},
        "left": pa.array(left, pa.int64()),
        "row": pa.array(np.full(len(left), -1, np.int64)),
        **from_details(table.column("detail"), fields),
    }
    return Scored(step, receipt.unit, pa.table(columns))


def _kept(
    record: RunRecord,
    chain: Chain,
    receipt: Receipt,
    least: int,
    fields: Mapping[str, list[pa.Field] | None],
) -> Scored:
    """What a source's steps kept in one unit, and came to link `least`."""
    last = chain.source.last
    path = unit_file(last.data, receipt.unit)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = set(file.schema_arrow.names)
            wanted = [field.name for found in fields.values() for field in found or () if field.name in there]
            table = file.read(["id", "lang", *wanted], use_threads=False).combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    n = table.num_rows
    unit = record.first_units[chain.source.name] + receipt.unit if record.masks else receipt.unit
    left = np.full(n, chain.kept, np.int64)
    reasons = np.full(n, None, object)
    for number, link in enumerate(chain.links):
        if not link.mask:
            continue
        mask_batches: list[pa.RecordBatch] = list(DatasetView([], [link.step.data]).mask_batches(unit))
        for batch in mask_batches:
            removed = pc.equal(batch.column("kind"), "removed").to_numpy(zero_copy_only=False)
            rows = batch.column("row").to_numpy()
            left[rows] = np.where(removed, number, -1)
            reasons[rows] = batch.column("reason").to_pylist()
        if found := fields.get(link.name):
            table = _with_mask_scores(table, link, unit, mask_batches, found)
    table = table.append_column("reason", pa.array(reasons, pa.string()))
    table = table.append_column("bytes", pa.array(text_sizes(path), pa.int64()))
    table = table.append_column("left", pa.array(left)).append_column("row", pa.array(np.arange(n)))
    return Scored(last, receipt.unit, table.filter(pa.array(left >= least)))


def _with_mask_scores(
    table: pa.Table, link: Link, unit: int, mask_batches: Sequence[pa.RecordBatch], fields: Sequence[pa.Field]
) -> pa.Table:
    """`table` with the scores of a late filter, of what it kept and of what it removed."""
    names = [field.name for field in fields]
    path = unit_scores(link.step, unit)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = set(file.schema_arrow.names)
            kept = file.read(["_row", *(n for n in names if n in there)] if "_row" in there else [])
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    parts = [kept] if "_row" in kept.column_names else []
    for batch in mask_batches:
        batch = batch.filter(pc.equal(batch.column("kind"), "removed"))
        found = from_details(batch.column("detail"), {link.name: list(fields)})
        parts.append(pa.table({"_row": batch.column("row"), **found}))
    both = pa.concat_tables(parts, promote_options="permissive") if parts else None
    for field in fields:
        values = pa.nulls(table.num_rows, field.type)
        if both is not None and field.name in both.column_names:
            place = np.full(table.num_rows, -1, np.int64)
            place[both.column("_row").to_numpy()] = np.arange(both.num_rows)
            values = both.column(field.name).take(pa.array(place, mask=place < 0))
        if field.name not in table.column_names:
            table = table.append_column(field.name, values)
    return table
