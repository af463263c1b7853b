"""Notes: what partitions of documents tell one another between rounds, as rows sent to a partition.

A document is at home in the partition of its address, mixed. `unit` and `row` are the document that a note is
about, `survivor_unit` and `survivor_row` a better one; whatever else a kind of note has stands in columns
that are null in others. What their order and lists of removals need to know of documents, `FACTS`, travels in
notes of its own: once to each partition that is told of a document, however many notes name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.survivors import FACTS
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.run.resolution.nodes import Addresses, Documents, facts_of
from corpusmill.pipelines.storage.hex_ids import as_bytes
from corpusmill.pipelines.text.mixing import mixed

Numbers = npt.NDArray[np.uint32]

NOTES = pa.schema(
    [
        pa.field("unit", pa.uint32()),
        pa.field("row", pa.uint32()),
        pa.field("survivor_unit", pa.uint32()),
        pa.field("survivor_row", pa.uint32()),
        pa.field("similarity", pa.float64()),
        pa.field("kind", pa.int8()),
        pa.field("asks", pa.uint32()),
        pa.field("id", pa.binary(16)),
        pa.field("source", pa.string()),
        pa.field("bytes", pa.int64()),
    ]
)
"""`kind`: what a note says, by the rule; `asks`: the partition that asks for a document; `id`, `source` and
`bytes`: of a note of facts alone. Notes on their way to a partition have a `key` besides."""

ASK, FACT = -1, -2
"""Kinds of notes under either rule: by which a partition asks to be told of a document, and by which it is
told a document's facts."""

WORSE, BETTER = "", "survivor_"
BOTH = (WORSE, BETTER)


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

    def facts(self, documents: Documents, *sent: tuple[pa.Table, Sequence[str]]) -> pa.Table:
        """Notes with keys, of facts of documents: for notes that are sent, and the ends of them of which who
        is sent them must know the facts. Each document once a partition."""
        to = [np.zeros(0, np.uint32)]
        named = [np.zeros(0, np.uint64)]
        for notes, ends in sent:
            partition = partition_of(notes.column("key").to_numpy(), self.partitions)
            to += [partition for _ in ends]
            named += [addresses(notes, end) for end in ends]
        partition, address = np.concatenate(to), np.concatenate(named)
        by = np.lexsort((address, partition))
        partition, address = partition[by], address[by]
        new = np.ones(len(by), bool)
        new[1:] = (partition[1:] != partition[:-1]) | (address[1:] != address[:-1])
        return self.to_partitions(fact_notes(documents.at(address[new])), partition[new])


def _keyed(notes: pa.Table, key: npt.NDArray[np.uint64]) -> pa.Table:
    return notes.add_column(0, "key", pa.array(key, pa.uint64()))


def note(
    kind: int | npt.NDArray[np.int8],
    address: Addresses,
    survivor: Addresses | None = None,
    **columns: object,
) -> pa.Table:
    """`NOTES` of one kind or of several, of the documents at these addresses, with these columns."""
    columns |= _halves(address, WORSE)
    if survivor is not None:
        columns |= _halves(survivor, BETTER)
    columns["kind"] = np.full(len(address), kind, np.int8)
    nulls = {field.name: pa.nulls(len(address), field.type) for field in NOTES if field.name not in columns}
    return pa.table([(columns | nulls)[name] for name in NOTES.names], schema=NOTES)


def _halves(address: Addresses, prefix: str) -> dict[str, object]:
    unit, row = (address >> np.uint64(32)).astype(np.uint32), address.astype(np.uint32)
    return {f"{prefix}unit": unit, f"{prefix}row": row}


def fact_notes(facts: pa.Table) -> pa.Table:
    """`FACTS` rows as notes."""
    ids = contiguous(facts.column("id"))
    packed = as_bytes(ids) if pa.types.is_string(ids.type) else ids
    sizes, sources = facts.column("bytes"), facts.column("source")
    return note(FACT, addresses(facts), id=packed, source=sources, bytes=sizes)


def facts_in(*notes: pa.Table) -> list[pa.Table]:
    """The `FACTS` that notes tell, ids as 16 bytes."""
    return [of_kind(table, FACT).select(FACTS) for table in notes]


def of_kind(notes: pa.Table, *kinds: int) -> pa.Table:
    """The notes of these kinds."""
    chosen = np.isin(notes.column("kind").to_numpy(), np.array(kinds, np.int8))
    return notes.filter(pa.array(chosen))


def noted(table: pa.Table, kind: int) -> pa.Table:
    """`DUPLICATES` as `NOTES` of this kind."""
    ends = addresses(table), addresses(table, BETTER)
    return note(kind, *ends, similarity=table.column("similarity"))


def documents_of(found: pa.Table) -> Documents:
    """The documents of `DUPLICATES`."""
    return Documents([facts_of(found, end) for end in BOTH])


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
    for partitions, and `removed`, `DUPLICATES` of removals. `undecided`: how much is left to do; 0 in all
    partitions ends the rounds."""

    state: pa.Table
    sent: pa.Table
    removed: pa.Table
    undecided: int
