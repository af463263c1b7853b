"""The scores that an earlier version of a step gave to the documents of one unit. Memory: these columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.contract.stored_scores import StageScores, StoredScores
from corpusmill.pipelines.run.operators.job import stage_class
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.datasets import unit_file
from corpusmill.pipelines.storage.removed_scores import from_details
from corpusmill.pipelines.storage.run_folder import StepFolder

log = logging.getLogger("corpusmill.work")


@dataclass(frozen=True)
class StoredUnit:
    """`ids` of the documents whose scores are known, none twice, and the scores by stage, row by row."""

    ids: pa.Array
    stages: Mapping[str, StageScores]

    @classmethod
    def of(cls, version: StepFolder | None, step: Step, unit: int) -> StoredUnit | None:
        """Those of one unit of a version of the step; None where there is nothing to take.

        What is damaged gives nothing: the documents are measured, with the same result.
        """
        if version is None:
            return None
        try:
            found = _read(version, step, unit)
        except (IntegrityError, OSError, pa.ArrowInvalid) as error:
            log.warning(
                "%s unit %s: measured again, since stored scores are damaged: %s", step.name, unit, error
            )
            return None
        return found if found.stages else None

    def told(self, docs: Documents) -> Documents:
        """The documents, with their stored scores known to the filters they come to.

        A filter whose name columns of the dataset bear already is left out: they are another's.
        """
        there = {name.partition(".")[0] for name in docs.table.column_names if "." in name}
        stages = {name: scores for name, scores in self.stages.items() if name not in there}
        places = pc.fill_null(pc.index_in(docs.column("id"), value_set=self.ids), -1)
        found = StoredScores(stages, np.asarray(places.to_numpy(), np.int64))
        known = Documents(docs.table)
        known.of_text(StoredScores, lambda _: found)
        return known


def _read(version: StepFolder, step: Step, unit: int) -> StoredUnit:
    path = unit_file(version, unit)
    names = [spec.name for spec in step.stages]
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        fields = _fields(step, names, file.schema_arrow)
        wanted = [field.name for found in fields.values() for field in found]
        kept = file.read(["id", *wanted], use_threads=False)
    kept = kept.append_column("at", pa.array(np.full(kept.num_rows, len(names))))
    parts = [kept.cast(pa.schema([(field.name, field.type) for field in kept.schema]))]
    name = f"{unit:05d}.removed.arrow"
    if version.has(name):
        rows = pa.Table.from_batches(list(read_batches(version.file(name))))
        rows = rows.filter(pc.equal(rows.column("kind"), "removed")).combine_chunks()
        at = pc.index_in(rows.column("stage"), value_set=pa.array(names, pa.string())).cast(pa.int64())
        scores = from_details(rows.column("detail"), fields)
        parts.append(pa.table({"id": rows.column("id"), **scores, "at": at}))
    both = pa.concat_tables(parts).combine_chunks()
    both = both.filter(_once(both.column("id")))
    left = np.asarray(both.column("at").to_numpy(), np.int64)
    stages = {}
    for stage, found in fields.items():
        table = both.select([field.name for field in found])
        table = table.rename_columns([field.name.partition(".")[2] for field in found])
        stages[stage] = StageScores(table, left >= names.index(stage))
    return StoredUnit(both.column("id").combine_chunks(), stages)


def _fields(step: Step, names: Sequence[str], schema: pa.Schema) -> dict[str, list[pa.Field]]:
    """Score columns of each filter that can be taken as they are stored: plain values, of a name that stands
    once in the step."""
    found: dict[str, list[pa.Field]] = {}
    for spec in step.stages:
        if names.count(spec.name) > 1 or not issubclass(stage_class(spec), Filter):
            continue
        mine = [field for field in schema if field.name.startswith(f"{spec.name}.")]
        if mine and all(_is_plain(field.type) for field in mine):
            found[spec.name] = [field.remove_metadata() for field in mine]
    return found


def _is_plain(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
    return any(test(kind) for test in tests)


def _once(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which ids stand once, bool[n]. Documents of one id may have come to different ends."""
    counts = pc.value_counts(ids.combine_chunks())
    more = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.invert(pc.is_in(ids, value_set=more))
