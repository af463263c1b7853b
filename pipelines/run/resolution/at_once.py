"""All pairs at once, in memory: about 400 bytes each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.run.kernels.removals import KEPT, OPEN, remove_by_component, remove_directly
from corpusmill.pipelines.run.resolution.nodes import Nodes, check_order, facts_of, ordered_once


def resolve_at_once(found: pa.Table, resolution: Resolution) -> pa.Table:
    """`DUPLICATES` of removed documents, ordered by address, from `DUPLICATES` of pairs in any order.

    The result depends on the set of pairs alone, not on their order.
    """
    if found.num_rows == 0:
        return found
    nodes = Nodes([facts_of(found), facts_of(found, "survivor_")], resolution.priority)
    worse, better, similarity = ordered_once(
        nodes.of(found), nodes.of(found, "survivor_"), found.column("similarity").to_numpy()
    )
    if resolution.rule == "connected":
        survivor, closest = remove_by_component(worse, better, similarity, len(nodes))
    else:
        check_order(worse, better)
        standing = np.full(len(nodes), KEPT, np.int8)
        standing[worse] = OPEN
        survivor, closest = np.full(len(nodes), -1, np.int64), np.zeros(len(nodes))
        remove_directly(worse, better, similarity, standing, survivor, closest)
    removed = np.flatnonzero(survivor >= 0)
    removed = removed[np.argsort(nodes.place[removed])]
    return nodes.removals(removed, survivor[removed], closest[removed], resolution.reason)
