"""Documents of earlier runs, as a run that is compared with them knows them.

Such a document travels through an exchange as the run's own do, but under a *label* in place of its source,
which says all that the order of survivors and the removals need: the place of the earlier run among those the
run is compared with, the place of the document's source in that run's `priority`, whether the run kept it,
and the names of run and source. Names of runs and sources are slugs, so no source looks like a label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import contiguous

KNOWN = "known"
"""The column, bool, of rows of an exchange that says which are of known documents; absent where none are."""

_LABEL = re.compile(r"~(\d{5})\.(\d{5})([+-])(.+)", re.DOTALL)


@dataclass(frozen=True)
class Label:
    """What stands in place of a known document's source. `run`: the place of its run; `place`: that of its
    source in the run's `priority`; `kept`: whether the run kept it; `told`: `RUN/SOURCE`, for people."""

    run: int
    place: int
    kept: bool
    told: str

    def __str__(self) -> str:
        return f"~{self.run:05d}.{self.place:05d}{'+' if self.kept else '-'}{self.told}"

    @property
    def order(self) -> int:
        """Its place among all labels and sources: below 0, so that known documents come first."""
        return (self.run << 20 | self.place) - 2**62


def label_of(source: str) -> Label | None:
    """The label that `source` is; None where it is the source of a document of the run itself."""
    found = _LABEL.fullmatch(source)
    if found is None:
        return None
    run, place, kept, told = found.groups()
    return Label(int(run), int(place), kept == "+", told)


def told(source: str) -> str:
    """`RUN/SOURCE` of a label, and a plain source as it is."""
    label = label_of(source)
    return source if label is None else label.told


def run_of(source: str | None) -> str | None:
    """The earlier run that `RUN/SOURCE` names; None of a plain source."""
    return source.split("/", 1)[0] if source is not None and "/" in source else None


def known_rows(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows of an exchange are of known documents, bool[n]."""
    if KNOWN not in rows.column_names:
        return np.zeros(rows.num_rows, bool)
    return np.asarray(contiguous(rows.column(KNOWN)).to_numpy(zero_copy_only=False), bool)


def labels_from(table: pa.Table, run: int) -> pa.Table:
    """`table` with the run's place put into the labels of its columns and inner fields named `source`."""
    columns = [
        _labelled(contiguous(table.column(place)), run, field.name)
        if _has_source(field)
        else table.column(place)
        for place, field in enumerate(table.schema)
    ]
    return pa.table(columns, schema=table.schema)


def _has_source(field: pa.Field) -> bool:
    inner = [field.type.field(place) for place in range(field.type.num_fields)]
    return field.name == "source" or any(map(_has_source, inner))


def _labelled(column: pa.Array, run: int, name: str) -> pa.Array:
    kind = column.type
    if pa.types.is_struct(kind):
        fields = [_labelled(column.field(place), run, kind.field(place).name) for place in range(len(kind))]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=column.is_null())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        whole = pa.ListArray if pa.types.is_list(kind) else pa.LargeListArray
        inner = _labelled(column.values, run, kind.value_field.name)
        mask = column.is_null() if column.null_count else None
        return whole.from_arrays(column.offsets, inner, type=kind, mask=mask)
    if name != "source" or not pa.types.is_string(kind):
        return column
    found = column.dictionary_encode()
    moved = pa.array([_moved(label, run) for label in found.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(found.indices, moved).cast(pa.string())


def _moved(source: str, run: int) -> str:
    label = label_of(source)
    return source if label is None else str(replace(label, run=run))


def places(sources: Sequence[str], priority: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place in the order of survivors of each of these sources or labels, int64[n]: labels first, by run
    and place there, then sources in `priority`, then all others."""
    first = {source: place for place, source in enumerate(dict.fromkeys(priority))}
    labels = [label_of(source) for source in sources]
    found = [
        first.get(source, len(first)) if label is None else label.order
        for source, label in zip(sources, labels, strict=True)
    ]
    return np.array(found, np.int64)
