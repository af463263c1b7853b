"""The documents of tables of pairs as integers, so that the rules can be compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.survivors import FACTS, Index, duplicates, ranks
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.storage.hex_ids import as_digits

Addresses = npt.NDArray[np.uint64]  # unit * 2^32 + row


def facts_of(table: pa.Table, prefix: str = "") -> pa.Table:
    """The columns `FACTS` of one end of pairs; `prefix` is `survivor_` for the better one."""
    return table.select([f"{prefix}{name}" for name in FACTS]).rename_columns(list(FACTS))


class Documents:
    """The documents of tables of `FACTS`, each once: `address` uint64[n], sorted, and their `facts`."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        every = pa.concat_tables(tables)
        self.address, where = np.unique(addresses(every), return_index=True)
        self.facts = every.take(pa.array(where)).combine_chunks()

    def __len__(self) -> int:
        return len(self.address)

    def at(self, wanted: Addresses) -> pa.Table:
        """`FACTS` of the documents at these addresses, all of which are among these."""
        return self.facts.take(pa.array(np.searchsorted(self.address, wanted)))


class Nodes(Documents):
    """Documents numbered from best to worst.

    `rank` int64[n] is the number of the document at each place of `address`, `place` the way back. Memory:
    about 200 bytes a row of the tables.
    """

    def __init__(self, tables: Sequence[pa.Table], priority: Sequence[str]) -> None:
        super().__init__(tables)
        self.rank = ranks(self.facts, priority)
        self.place = np.argsort(self.rank)

    def of(self, table: pa.Table, prefix: str = "") -> Index:
        """Numbers of the documents at one end of pairs, all of which are among these."""
        return self.rank[np.searchsorted(self.address, addresses(table, prefix))]

    def find(self, wanted: Addresses) -> tuple[Index, npt.NDArray[np.bool_]]:
        """Numbers of documents, -1 of those that are not among these; and which ones are."""
        if not len(self):
            return np.full(len(wanted), -1, np.int64), np.zeros(len(wanted), bool)
        place = np.minimum(np.searchsorted(self.address, wanted), len(self) - 1)
        there = self.address[place] == wanted
        return np.where(there, self.rank[place], -1), there

    @property
    def addresses(self) -> Addresses:
        """Addresses by number."""
        return self.address[self.place]

    def distinct(self, *numbers: Index) -> Index:
        """Those that are among these numbers, each once, ascending."""
        marked = np.zeros(len(self), bool)
        for some in numbers:
            marked[some] = True
        return np.flatnonzero(marked)

    def removals(
        self, removed: Index, survivors: Index, similarity: npt.NDArray[np.float64], reason: str
    ) -> pa.Table:
        """`DUPLICATES` of documents that are removed in favour of others, given by their numbers."""
        facts = self.facts.take(pa.array(self.place[np.concatenate([removed, survivors])]))
        ids = facts.column("id").combine_chunks()
        if not pa.types.is_string(ids.type):
            facts = facts.set_column(facts.column_names.index("id"), "id", as_digits(ids))
        ends = np.arange(len(removed)), np.arange(len(removed), 2 * len(removed))
        return duplicates(facts, *ends, similarity, reason)


def check_order(worse: Index, better: Index) -> None:
    """Raises CorpusmillError where a stage names the better document of a pair first, or one document
    twice."""
    wrong = int((worse <= better).sum())
    if wrong:
        raise CorpusmillError(
            f"{wrong:,} of {len(worse):,} pairs do not name the worse document first; order both by "
            "`pipelines.contract.survivors.order` with the priority of the stage's `resolution`"
        )


def ordered_once(
    worse: Index, better: Index, similarity: npt.NDArray[np.float64]
) -> tuple[Index, Index, npt.NDArray[np.float64]]:
    """Pairs sorted by (worse, better), each once; of repeated ones the most similar."""
    by = np.lexsort((-similarity, better, worse))
    worse, better, similarity = worse[by], better[by], similarity[by]
    new = np.append(True, (worse[1:] != worse[:-1]) | (better[1:] != better[:-1]))[: len(worse)]
    return worse[new], better[new], similarity[new]
