"""Notes: what partitions of documents tell one another between rounds, as rows sent to a partition.

A document is at home in the partition of its address, mixed. `unit` and `row` are the document that a note is
about; whatever else a kind of note has stands in columns that are null in others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.survivors import FACTS
from corpusmill.pipelines.run.operators.layout import partition_of
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.resolution.nodes import Addresses, facts_of
from corpusmill.pipelines.text.mixing import mixed

Numbers = npt.NDArray[np.uint32]

_ENDS = {
    "unit": pa.uint32(),
    "row": pa.uint32(),
    "id": pa.string(),
    "source": pa.string(),
    "bytes": pa.int64(),
}
NOTES = pa.schema(
    [
        *(pa.field(name, kind) for name, kind in _ENDS.items()),
        *(pa.field(f"survivor_{name}", kind) for name, kind in _ENDS.items()),
        pa.field("similarity", pa.float64()),
        pa.field("kind", pa.int8()),
        pa.field("asks", pa.uint32()),
    ]
)
"""Of two documents the worse stands first, as in `DUPLICATES`. `kind`: what a note says, by the rule; `asks`:
the partition that asks for a document. Notes on their way to a partition have a `key` besides."""

ASK = -1
"""The kind of note by which a partition asks to be told of a document, under either rule."""


@dataclass(frozen=True)
class Homes:
    """The partitions of documents; `here` is the one at work, None where all of them are."""

    partitions: int
    here: int | None = None

    def of(self, address: Addresses) -> Numbers:
        """The partition that each document is at home in."""
        return partition_of(mixed(address), self.partitions)

    def own(self, address: Addresses) -> npt.NDArray[np.bool_]:
        """Which documents are at home here."""
        return np.ones(len(address), bool) if self.here is None else self.of(address) == self.here

    def to_documents(self, notes: pa.Table) -> pa.Table:
        """Notes with keys: each goes to where its document is at home."""
        return _keyed(notes, mixed(addresses(notes)))

    def to_partitions(self, notes: pa.Table, partition: Numbers) -> pa.Table:
        """Notes with keys: each goes to a partition."""
        first = [-(-(number << 64) // self.partitions) for number in range(self.partitions)]
        return _keyed(notes, np.array(first, np.uint64)[partition])


def _keyed(notes: pa.Table, key: npt.NDArray[np.uint64]) -> pa.Table:
    return notes.add_column(0, "key", pa.array(key, pa.uint64()))


def note(kind: int | npt.NDArray[np.int8], count: int, **columns: object) -> pa.Table:
    """`NOTES` of one kind or of several, with these columns and `facts` of one end or both (`survivors`)."""
    ends = {"facts": "", "survivors": "survivor_"}
    for name, prefix in ends.items():
        facts = columns.pop(name, None)
        if isinstance(facts, pa.Table):
            columns |= {f"{prefix}{fact}": facts.column(fact) for fact in FACTS}
    address = columns.pop("address", None)
    if isinstance(address, np.ndarray):
        columns |= {"unit": (address >> np.uint64(32)).astype(np.uint32), "row": address.astype(np.uint32)}
    columns["kind"] = np.full(count, kind, np.int8)
    return pa.table([columns.get(field.name, pa.nulls(count, field.type)) for field in NOTES], schema=NOTES)


def of_kind(notes: pa.Table, *kinds: int) -> pa.Table:
    """The notes of these kinds."""
    chosen = np.isin(notes.column("kind").to_numpy(), np.array(kinds, np.int8))
    return notes.filter(pa.array(chosen))


def noted(table: pa.Table, kind: int) -> pa.Table:
    """`DUPLICATES` as `NOTES` of this kind."""
    facts = {"facts": facts_of(table), "survivors": facts_of(table, "survivor_")}
    return note(kind, table.num_rows, **facts, similarity=table.column("similarity"))


def gathered(tables: Iterable[pa.Table]) -> pa.Table:
    """`NOTES` of several tables, their keys left out."""
    parts = [table.select(NOTES.names) for table in tables]
    return pa.concat_tables([NOTES.empty_table(), *(part for part in parts if part.num_rows)])


def distinct_asks(asks: pa.Table) -> pa.Table:
    """Asking notes that differ in document, partition or similarity, by these."""
    columns = [asks.column(name).fill_null(0).to_numpy() for name in ("similarity", "asks", "row", "unit")]
    by = np.lexsort(columns)
    new = np.ones(len(by), bool)
    new[1:] = np.any([column[by][1:] != column[by][:-1] for column in columns], axis=0)
    return asks.take(pa.array(by[new]))


@dataclass(frozen=True)
class Outcome:
    """What a round leaves: `state`, which the next one of this partition begins with, `sent`, notes with keys
    for partitions, and `removed`, two documents a removal, as `NOTES`. `undecided`: how much is left to do; 0
    in all partitions ends the rounds."""

    state: pa.Table
    sent: pa.Table
    removed: pa.Table
    undecided: int
