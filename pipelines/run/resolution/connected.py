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

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.contract.survivors import Index
from corpusmill.pipelines.run.kernels.removals import remove_by_component
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.resolution.nodes import Nodes
from corpusmill.pipelines.run.resolution.notes import (
    ASK,
    BETTER,
    BOTH,
    WORSE,
    Homes,
    Outcome,
    distinct_asks,
    documents_of,
    fact_notes,
    facts_in,
    gathered,
    note,
    noted,
    of_kind,
)

LINK, NODE, TOLD, POINTER = range(4)


def first_notes(found: pa.Table, homes: Homes) -> pa.Table:
    """Notes for the first round, with keys: the pairs, `DUPLICATES`, as links, and each better document; with
    the facts of the documents."""
    similarity = found.column("similarity").to_numpy()
    better = addresses(found, BETTER)
    by = np.lexsort((-similarity, better))
    first = by[np.append(True, better[by][1:] != better[by][:-1])[: len(by)]]
    links = homes.to_documents(noted(found, LINK))
    nodes = homes.to_documents(note(NODE, better[first], similarity=pa.array(similarity[first])))
    facts = homes.facts(documents_of(found), (links, BOTH), (nodes, (WORSE,)))
    return pa.concat_tables([links, nodes, facts])


def round_of(state: pa.Table, notes: pa.Table, homes: Homes, rule: Resolution) -> Outcome:
    """One round of one partition."""
    pointers, links = of_kind(state, POINTER), of_kind(notes, LINK)
    alone, told = of_kind(notes, NODE), of_kind(notes, TOLD)
    nodes = Nodes(facts_in(state, notes), rule.priority)
    address = nodes.addresses
    everyone = np.arange(len(nodes))
    own = np.flatnonzero(homes.own(address))

    to = _told(nodes, told)
    before = everyone.copy()
    before[nodes.of(pointers)] = nodes.of(pointers, BETTER)
    before = to[before[own]]
    worse, better = nodes.of(links), to[nodes.of(links, BETTER)]
    ends_of_links = np.concatenate([own, worse]), np.concatenate([before, better])
    left, right = np.maximum(*ends_of_links), np.minimum(*ends_of_links)
    survivor, _ = remove_by_component(left, right, np.zeros(len(left)), len(nodes))
    best = np.where(survivor >= 0, survivor, everyone)

    home = homes.of(address)
    away = home != homes.here
    seen = nodes.distinct(before, better)
    lost = seen[away[seen] & (best[seen] != seen)]
    passed = homes.to_documents(note(LINK, address[lost], address[best[lost]]))
    asked = nodes.distinct(best[own][best[own] != before])
    asked = asked[away[asked]]
    here = pa.array(np.full(len(asked), homes.here or 0, np.uint32))
    asking = note(ASK, address[asked], asks=here)
    asks = distinct_asks(gathered([of_kind(state, ASK), of_kind(notes, ASK)]))
    answers, forwarded, kept = _answers(asks, nodes, best, homes)
    closest = _similarity(nodes, (pointers, links, alone))[own]
    rows = note(POINTER, address[own], address[best[own]], similarity=pa.array(closest))
    facts = fact_notes(nodes.at(address[nodes.distinct(own, best[own])]))
    asking = homes.to_documents(distinct_asks(gathered([asking, forwarded])))
    told_facts = homes.facts(nodes, (passed, BOTH), (answers, (BETTER,)))
    sent = pa.concat_tables([passed, asking, answers, told_facts])
    return Outcome(gathered([rows, kept, facts]), sent, DUPLICATES.empty_table(), sent.num_rows)


def removals(state: pa.Table, rule: Resolution) -> pa.Table:
    """Once the rounds are over: the documents of a partition that point to another, as `DUPLICATES`."""
    pointers = of_kind(state, POINTER)
    nodes = Nodes(facts_in(state), rule.priority)
    worse, better = nodes.of(pointers), nodes.of(pointers, BETTER)
    moved = worse != better
    similarity = pointers.column("similarity").to_numpy()[moved]
    return nodes.removals(worse[moved], better[moved], similarity, rule.reason)


def _told(nodes: Nodes, told: pa.Table) -> Index:
    """Where each document leads by what was told: to itself, or along pointers of documents elsewhere."""
    to = np.arange(len(nodes))
    number, there = nodes.find(addresses(told))
    to[number[there]] = nodes.of(told, BETTER)[there]
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
    answers = homes.to_partitions(
        note(TOLD, addresses(asks)[moved], nodes.addresses[onward[moved]]), to[moved]
    )
    home = homes.of(nodes.addresses)[onward]
    further = note(ASK, nodes.addresses[onward[moved]], asks=pa.array(to[moved]))
    elsewhere = (home != to) & (home != homes.here)
    here = (home != to) & (home == homes.here)
    kept = gathered([asks.filter(pa.array(~moved)), further.filter(pa.array(here[moved]))])
    return answers, further.filter(pa.array(elsewhere[moved])), distinct_asks(kept)
