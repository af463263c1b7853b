"""What a map must give: the rows it was given, with the same ids and sources, in columns of their types.

Faults of form are the stage's, and told as such. A text that is not UTF-8 is the document's: it raises what
isolates it. Texts and columns that a stage hands on as they were are not looked at again.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError
from corpusmill.pipelines.contract.stage import Map, Outcome

_CURES = {"text": "pa.array(texts, pa.large_string())"}


def checked(stage: Map, docs: Documents) -> Outcome:
    """The outcome of a stage on a batch.

    Raises CorpusmillError where its form is wrong, DataError for texts that are not UTF-8, and whatever the
    stage raises.
    """
    outcome: object = stage.apply(docs)
    if not isinstance(outcome, Outcome) or not isinstance(outcome.documents, Documents):
        made = outcome.documents if isinstance(outcome, Outcome) else outcome
        raise CorpusmillError(
            f"stage {stage.name} must give Documents or an Outcome of them; it gave {type(made).__name__}"
        )
    n = len(docs)
    for what, values in (("reasons", outcome.reasons), ("faults", outcome.faults)):
        if not isinstance(values, pa.Array) or not _is_text(values.type):
            kind = values.type if isinstance(values, pa.Array) else type(values).__name__
            raise CorpusmillError(
                f"stage {stage.name}: its {what} must be an Arrow array of strings, null where there is "
                f"none; it gave {kind}"
            )
    if len(outcome.documents) != n or len(outcome.reasons) != n or len(outcome.faults) != n:
        raise CorpusmillError(
            f"stage {stage.name} broke the rule of maps: {n} rows in, {len(outcome.documents)} rows, "
            f"{len(outcome.reasons)} reasons and {len(outcome.faults)} faults out"
        )
    if outcome.cut:
        _check_cuts(stage.name, docs, outcome)
    _check_columns(stage.name, docs.table, outcome.documents.table)
    return outcome


def _check_cuts(stage: str, docs: Documents, outcome: Outcome) -> None:
    left = docs.sizes().copy()
    for reason, found in outcome.cut.items():
        if not isinstance(found, np.ndarray) or found.dtype != np.int64 or found.shape != left.shape:
            raise CorpusmillError(
                f"stage {stage}: what it cut for {reason!r} must be int64[n], one number a row"
            )
        if (found < 0).any():
            raise CorpusmillError(f"stage {stage} says that it cut under 0 bytes for {reason!r}")
        left -= found
    if (left < 0).any():
        raise CorpusmillError(f"stage {stage} says that it cut more bytes of a text than came; count once")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _check_columns(stage: str, before: pa.Table, after: pa.Table) -> None:
    encoded = "text" not in after.column_names and "bytes" in after.column_names  # texts as tokens
    for field in SCHEMA:
        name = field.name
        if name not in after.column_names:
            if name in before.column_names and not (encoded and name not in ("id", "source")):
                raise CorpusmillError(f"stage {stage} leaves out the column {name!r}; hand it on")
            continue
        column = after.column(name)
        if name in before.column_names and _same_memory(before.column(name), column):
            continue
        if column.type != field.type:
            cure = _CURES.get(name, f"pa.array(values, pa.{field.type}())")
            raise CorpusmillError(
                f"stage {stage} gives {name!r} as {column.type}, but it is {field.type}; write {cure}"
            )
        if not field.nullable and column.null_count:
            raise CorpusmillError(f"stage {stage} gives null as {name!r}, which every document has; fill it")
        if name in ("id", "source") and not column.equals(before.column(name)):
            raise CorpusmillError(f"stage {stage} changed {name}s or their order; maps must keep both")
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"{name!r} is not UTF-8 any more: {error}") from error


def _same_memory(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns are one: the same rows of the same buffers."""
    return one.type == other.type and _places(one) == _places(other)


def _places(column: pa.ChunkedArray) -> list[tuple[int, ...]]:
    return [
        (chunk.offset, len(chunk), *(0 if buffer is None else buffer.address for buffer in chunk.buffers()))
        for chunk in column.chunks
    ]
