"""Documents that a deduplicating exchange cannot judge, on their way to the step that removes them.

A stage raised on them, or its worker died of them, in either half of the exchange. They travel by address
beside the rows of the exchange, in files that sound units do not have, and `apply_removals` removes them as
quarantined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.records.unit_columns import unit_of
from corpusmill.pipelines.run.operators.layout import counted_from, first_of
from corpusmill.pipelines.storage.checked_ipc import read_batches, write_batches
from corpusmill.pipelines.storage.run_folder import Attempt, StepFolder

LEFT_OUT = pa.schema(
    [pa.field("unit", pa.uint32()), pa.field("row", pa.uint32()), pa.field("cause", pa.string())]
)
_SUFFIX = "left_out.arrow"


def left_out(unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32], causes: Sequence[str]) -> pa.Table:
    """`LEFT_OUT` rows of n documents."""
    return pa.table([unit, row, pa.array(list(causes), pa.string())], schema=LEFT_OUT)


def write_left_out(attempt: Attempt, tables: Sequence[pa.Table]) -> None:
    """One file, and none where there is nothing to say."""
    whole = pa.concat_tables([LEFT_OUT.empty_table(), *tables]).combine_chunks()
    if whole.num_rows:
        write_batches(attempt.file(_SUFFIX), LEFT_OUT, whole.to_batches())


def read_left_out(folder: StepFolder) -> pa.Table:
    """`LEFT_OUT` rows of all units of a complete step, one a document, by address."""
    tables = []
    for file in folder.units.files(_SUFFIX):
        number = unit_of(file.name)
        assert number is not None
        found = pa.Table.from_batches(list(read_batches(folder.file(file.name))))
        tables.append(counted_from(found, first_of(folder.units.facts(number))))
    whole = pa.concat_tables([LEFT_OUT.empty_table(), *tables])
    by = [(name, "ascending") for name in LEFT_OUT.names]
    whole = whole.sort_by(by).combine_chunks()
    places = addresses(whole)
    new = np.ones(len(places), bool)
    new[1:] = places[1:] != places[:-1]
    return whole.filter(pa.array(new))


def addresses(table: pa.Table, prefix: str = "") -> npt.NDArray[np.uint64]:
    """unit * 2^32 + row of each row of `table`."""
    unit, row = (table.column(f"{prefix}{name}").to_numpy() for name in ("unit", "row"))
    return np.asarray(unit.astype(np.uint64) << np.uint64(32) | row.astype(np.uint64), np.uint64)


def without(pairs: pa.Table, unjudged: pa.Table) -> pa.Table:
    """`DUPLICATES` or `EDITS` rows in which no document that is left out has a part, as either."""
    if not unjudged.num_rows:
        return pairs
    known = addresses(unjudged)
    favoured = pairs.column("survivor_unit").is_valid().to_numpy()
    touched = np.isin(addresses(pairs), known)
    touched[favoured] |= np.isin(addresses(pairs.filter(pa.array(favoured)), "survivor_"), known)
    return pairs.filter(pa.array(~touched))
