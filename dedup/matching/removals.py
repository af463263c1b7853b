"""From all pairs of a run to one removal a document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpusmill.dedup.kernels.similarity import remove_by_component, remove_greedily
from corpusmill.dedup.matching.survivors import FACTS, duplicates, ranks


def resolve(found: pa.Table, priority: Sequence[str], transitive: bool) -> pa.Table:
    """`DUPLICATES` of removed documents, ordered by address, from `DUPLICATES` of pairs in any order.

    Not transitive: the greedy rule of `similarity.remove_greedily`. Transitive: whole components. Repeated
    pairs count once. The result depends on the set of pairs alone, not on their order.
    """
    if found.num_rows == 0:
        return found
    ends = []
    for prefix in ("", "survivor_"):
        unit, row = (found.column(f"{prefix}{name}").to_numpy() for name in ("unit", "row"))
        ends.append(unit.astype(np.uint64) << np.uint64(32) | row.astype(np.uint64))
    _, where, node = np.unique(np.concatenate(ends), return_index=True, return_inverse=True)
    both = pa.concat_tables(
        [
            found.select(FACTS),
            found.select([f"survivor_{name}" for name in FACTS]).rename_columns(list(FACTS)),
        ]
    )
    facts = both.take(where).combine_chunks()
    rank = ranks(facts, priority)
    of_rank = np.argsort(rank)
    worse, better = rank[node[: len(found)]], rank[node[len(found) :]]
    similarity = found.column("similarity").to_numpy()
    by = np.lexsort((better, worse))
    worse, better, similarity = worse[by], better[by], similarity[by]
    new = np.append(True, (worse[1:] != worse[:-1]) | (better[1:] != better[:-1]))
    decide = remove_by_component if transitive else remove_greedily
    survivor, best = decide(worse[new], better[new], similarity[new], len(rank))
    removed = np.flatnonzero(survivor >= 0)
    removed = removed[np.argsort(of_rank[removed])]  # nodes are numbered by address
    reason = found.column("reason")[0].as_py()
    return duplicates(facts, of_rank[removed], of_rank[survivor[removed]], best[removed], reason)
