"""The rule `connected` in rounds: every document points to a better one, at last to its component's best.

The pointer of a document stands in the partition that it is at home in. A pair is a link, sent to where its
worse end is at home; there all links and pointers that meet are joined, and documents at home point to the
best one in sight. Ends that are at home elsewhere, and are not the best, become links for their partitions,
so that no connection is lost. A partition asks to be told when a document that it points to points on, and
whoever is told so is entered with the document that is pointed to as well. So pointers double their reach
with each round, and a chain of n documents takes about log2(n) rounds. What a partition is told of a document
is one note, however many of its documents point there. Memory: about
700 bytes a link or document.

Kinds of notes: LINK, of two documents; NODE, of one and its similarity; TOLD, of a document and a better one
that it points to; POINTER, which is the state.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.survivors import Index
from corpusmill.pipelines.run.kernels.removals import remove_by_component
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.resolution.nodes import Nodes, facts_of
from corpusmill.pipelines.run.resolution.notes import (
    ASK,
    Homes,
    Outcome,
    distinct_asks,
    gathered,
    note,
    noted,
    of_kind,
)

LINK, NODE, TOLD, POINTER = range(4)


def first_notes(found: pa.Table, homes: Homes) -> pa.Table:
    """Notes for the first round, with keys: the pairs, `DUPLICATES`, as links, and each better document."""
    similarity = found.column("similarity").to_numpy()
    better = addresses(found, "survivor_")
    by = np.lexsort((-similarity, better))
    first = by[np.append(True, better[by][1:] != better[by][:-1])[: len(by)]]
    best = found.take(pa.array(first))
    nodes = note(NODE, len(first), facts=facts_of(best, "survivor_"), similarity=best.column("similarity"))
    return homes.to_documents(gathered([noted(found, LINK), nodes]))


def round_of(state: pa.Table, notes: pa.Table, homes: Homes, priority: tuple[str, ...]) -> Outcome:
    """One round of one partition."""
    pointers, links = of_kind(state, POINTER), of_kind(notes, LINK)
    alone, told = of_kind(notes, NODE), of_kind(notes, TOLD)
    ends = [facts_of(table, prefix) for table in (pointers, links) for prefix in ("", "survivor_")]
    nodes = Nodes([*ends, facts_of(alone), facts_of(told, "survivor_")], priority)
    everyone = np.arange(len(nodes))
    own = np.flatnonzero(homes.own(nodes.addresses))

    to = _told(nodes, told)
    before = everyone.copy()
    before[nodes.of(pointers)] = nodes.of(pointers, "survivor_")
    before = to[before[own]]
    worse, better = nodes.of(links), to[nodes.of(links, "survivor_")]
    ends_of_links = np.concatenate([own, worse]), np.concatenate([before, better])
    left, right = np.maximum(*ends_of_links), np.minimum(*ends_of_links)
    survivor, _ = remove_by_component(left, right, np.zeros(len(left)), len(nodes))
    best = np.where(survivor >= 0, survivor, everyone)

    home = homes.of(nodes.addresses)
    away = home != homes.here
    seen = np.unique(np.concatenate([before, better]))
    lost = seen[away[seen] & (best[seen] != seen)]
    passed = note(LINK, len(lost), facts=nodes.take(lost), survivors=nodes.take(best[lost]))
    asked = np.unique(best[own][best[own] != before])
    asked = asked[away[asked]]
    asking = note(
        ASK,
        len(asked),
        address=nodes.addresses[asked],
        asks=pa.array(np.full(len(asked), homes.here or 0, np.uint32)),
    )
    asks = distinct_asks(gathered([of_kind(state, ASK), of_kind(notes, ASK)]))
    answers, forwarded, kept = _answers(asks, nodes, best, homes)
    rows = note(
        POINTER,
        len(own),
        facts=nodes.take(own),
        survivors=nodes.take(best[own]),
        similarity=pa.array(_similarity(nodes, (pointers, links, alone))[own]),
    )
    sent = pa.concat_tables(
        [homes.to_documents(gathered([passed, distinct_asks(gathered([asking, forwarded]))])), answers]
    )
    return Outcome(gathered([rows, kept]), sent, rows.slice(0, 0), sent.num_rows)


def removals(state: pa.Table) -> pa.Table:
    """Once the rounds are over: the documents of a partition that point to another."""
    pointers = of_kind(state, POINTER)
    return pointers.filter(pa.array(addresses(pointers) != addresses(pointers, "survivor_")))


def _told(nodes: Nodes, told: pa.Table) -> Index:
    """Where each document leads by what was told: to itself, or along pointers of documents elsewhere."""
    to = np.arange(len(nodes))
    number, there = nodes.find(addresses(told))
    to[number[there]] = nodes.of(told, "survivor_")[there]
    while not np.array_equal(further := to[to], to):
        to = further
    return to


def _similarity(nodes: Nodes, tables: tuple[pa.Table, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The greatest similarity that any of the tables has of each document."""
    closest = np.zeros(len(nodes))
    for table in tables:
        np.maximum.at(closest, nodes.of(table), table.column("similarity").fill_null(0.0).to_numpy())
    return closest


def _answers(asks: pa.Table, nodes: Nodes, best: Index, homes: Homes) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Answers with keys, asking notes for documents that those asked for point to, and those that stay."""
    number, _ = nodes.find(addresses(asks))
    onward = best[number]
    moved = onward != number
    to = asks.column("asks").to_numpy()
    answers = note(
        TOLD,
        int(moved.sum()),
        address=addresses(asks)[moved],
        survivors=nodes.take(onward[moved]),
    )
    home = homes.of(nodes.addresses)[onward]
    further = note(ASK, int(moved.sum()), address=nodes.addresses[onward[moved]], asks=pa.array(to[moved]))
    elsewhere = (home != to) & (home != homes.here)
    here = (home != to) & (home == homes.here)
    kept = gathered([asks.filter(pa.array(~moved)), further.filter(pa.array(here[moved]))])
    sent = homes.to_partitions(answers, to[moved])
    return sent, further.filter(pa.array(elsewhere[moved])), distinct_asks(kept)
