"""The documents that a run keeps, in its order, apart from those that it holds out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.given import HELD_OUT
from corpusmill.pipelines.contract.held_out import FILE, TRAINED, HeldOut, read_held_out
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.storage.run_folder import RunFolder

TRAIN, TEST = "train", "test"


def kept_record(run: Path) -> RunRecord:
    """The record of a run whose documents are decided. Raises UserError where one step is not complete."""
    record = load_record(RunFolder(run))
    missing = [name for name in _deciding(record) if record.complete(name) is None]
    if missing:
        raise UserError(f"{run}: step {missing[0]} is not complete; run the recipe first")
    return record


def kept_documents(record: RunRecord) -> Iterator[tuple[str, str, Documents]]:
    """(source, split, documents) in the run's order, with the document schema's columns alone.

    `split` is `TRAIN`, or `TEST` for what the run holds out. Memory: one row group.
    """
    view, families = record.view(), _held_out(record)
    for unit in range(len(view)):
        for docs, _ in view.batches(unit):
            docs = Documents(docs.table.select(SCHEMA.names).cast(SCHEMA))
            sources = docs.column("source").dictionary_encode()
            codes = sources.indices.to_numpy(zero_copy_only=False)
            for source, code in sorted(
                (name, code) for code, name in enumerate(sources.dictionary.to_pylist())
            ):
                mine = docs if len(sources.dictionary) == 1 else docs.keep(codes == code)
                tested = np.zeros(len(mine), np.bool_)
                if families is not None:
                    tested = families.levels(mine) != TRAINED
                for split, chosen in ((TRAIN, ~tested), (TEST, tested)):
                    if chosen.any():
                        yield source, split, mine if chosen.all() else mine.keep(chosen)


def _deciding(record: RunRecord) -> list[str]:
    """Steps that decide which documents are kept: the sources' last, and all that remove documents."""
    removing = [
        step.name for step in record.graph.steps if operator_named(step.operator).writes == "removals"
    ]
    return [*record.recipe["sources"], *removing]


def _held_out(record: RunRecord) -> HeldOut | None:
    step = record.complete_giving(HELD_OUT)
    return None if step is None else read_held_out(step.data.file(FILE))
