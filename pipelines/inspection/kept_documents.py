"""The documents that a run keeps, in its order, apart from those that it holds out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.held_out import FILE, TRAINED, HeldOut, read_held_out
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
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
    view, held = record.view(), _held_out(record)
    for unit in range(len(view)):
        for docs, _ in view.batches(unit):
            docs = Documents(docs.table.select(SCHEMA.names).cast(SCHEMA))
            names = docs.column("source").to_pylist()
            for source in sorted(set(names)):
                mine = docs.keep(np.array([name == source for name in names]))
                tested = held.levels(mine) != TRAINED if held is not None else np.zeros(len(mine), np.bool_)
                for split, chosen in ((TRAIN, ~tested), (TEST, tested)):
                    if chosen.any():
                        yield source, split, mine.keep(chosen)


def add_to(digest: xxhash.xxh3_128, docs: Documents) -> None:
    """Add every id, text and `meta`, in order."""
    for row in docs.table.select(["id", "text", "meta"]).to_pylist():
        for value in row.values():
            data = value.encode()
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)


def _deciding(record: RunRecord) -> list[str]:
    """Steps that decide which documents are kept, as the recipe has them."""
    recipe = record.recipe
    entries = recipe.get("dedup") or []
    names = [str(name) for name in recipe.get("sources", {})]
    names += [f"dedup.{entry if isinstance(entry, str) else next(iter(entry))}" for entry in entries]
    names += ["decontaminate"] if "decontaminate" in recipe else []
    begun = [name for name in record.steps if name.split(".")[0] in ("dedup", "decontaminate", "held_out")]
    holds_out = record.until and (
        "tokenizer" in recipe or "pack" in recipe
    )  # perhaps, beyond what was asked for
    return list(dict.fromkeys([*names, *begun, *(["held_out"] if holds_out else [])]))


def _held_out(record: RunRecord) -> HeldOut | None:
    step = record.complete("held_out.families")
    return None if step is None else read_held_out(step.data.file(FILE))
