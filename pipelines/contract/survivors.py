"""Which of two duplicates survives: one total order, the same in every stage that removes duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.known import places

Index = npt.NDArray[np.int64]
FACTS = ("unit", "row", "id", "source", "bytes")  # what the order and DUPLICATES need to know of a document


def order(facts: pa.Table, priority: Sequence[str]) -> Index:
    """Positions of the documents from best to worst, int64[n].

    `facts` has the columns `FACTS`. The order: documents of earlier runs (`contract.known`), run by run;
    place of the source in `priority` (sources not named come after all that are, equal among themselves);
    more bytes; smaller id; smaller address. Only documents of equal id look at the address, so re-sharding
    the input cannot change a survivor.
    """
    source = contiguous(facts.column("source")).dictionary_encode()
    place = places(source.dictionary.to_pylist() or [""], priority)
    keys = pa.table(
        {
            "place": place[source.indices.to_numpy(zero_copy_only=False)],
            "shorter": np.negative(facts.column("bytes").to_numpy()),
            "id": facts.column("id"),
            "unit": facts.column("unit"),
            "row": facts.column("row"),
        }
    )
    by = [(name, "ascending") for name in keys.column_names]
    return np.asarray(pc.sort_indices(keys, sort_keys=by).to_numpy().astype(np.int64))


def ranks(facts: pa.Table, priority: Sequence[str]) -> Index:
    """Rank of each document in `order`, int64[n]; 0 is the best."""
    positions = order(facts, priority)
    rank = np.empty(len(positions), np.int64)
    rank[positions] = np.arange(len(positions))
    return rank


def duplicates(
    facts: pa.Table, loser: Index, survivor: Index, similarity: npt.NDArray[np.float64], reason: str
) -> pa.Table:
    """`DUPLICATES` rows of pairs given as positions in `facts`."""
    worse, better = facts.select(FACTS).take(loser), facts.select(FACTS).take(survivor)
    columns = {name: worse.column(name) for name in FACTS}
    columns |= {f"survivor_{name}": better.column(name) for name in FACTS}
    columns["reason"] = pa.array(np.full(len(loser), reason, object), pa.string())
    columns["similarity"] = pa.array(similarity, pa.float64())
    return pa.table([columns[field.name] for field in DUPLICATES], schema=DUPLICATES)
