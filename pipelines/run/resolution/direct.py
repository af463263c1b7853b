"""The rule `direct` in rounds: a document is decided as soon as what is known of better ones decides it.

A partition holds the pairs whose worse document is at home in it. It asks once to be told of the better ones
that are at home elsewhere, and is told when these are kept or removed; of those that are at 1.0, when their
survivor is known. Whatever follows from that within the partition is decided in the same round; of a document
that is removed, pairs with others that are farther than its survivor so far are forgotten. Memory: about 700
bytes a pair.

Kinds of notes are standings (`kernels.removals`): OPEN is a pair whose better document is not decided; KEPT a
pair whose better document is kept or, sent, that a document is; REMOVED, sent, that one is removed; FINAL a
document with its survivor.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.contract.survivors import Index
from corpusmill.pipelines.run.kernels.removals import FINAL, KEPT, OPEN, REMOVED, remove_directly
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.resolution.nodes import Nodes, check_order, ordered_once
from corpusmill.pipelines.run.resolution.notes import (
    ASK,
    BETTER,
    BOTH,
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


def first_notes(found: pa.Table, homes: Homes) -> pa.Table:
    """Notes for the first round, with keys: the pairs, `DUPLICATES`, with the facts of their documents, and
    who asks for better documents."""
    pairs = homes.to_documents(noted(found, OPEN))
    better = addresses(found, BETTER)
    at = homes.of(addresses(found))
    away = homes.of(better) != at
    copies = found.column("similarity").to_numpy()[away] >= 1.0
    asks = note(ASK, better[away], asks=pa.array(at[away]), similarity=pa.array(copies.astype(float)))
    facts = homes.facts(documents_of(found), (pairs, BOTH))
    return pa.concat_tables([pairs, homes.to_documents(distinct_asks(asks)), facts])


def round_of(state: pa.Table, notes: pa.Table, homes: Homes, rule: Resolution) -> Outcome:
    """One round of one partition, or of all that is left."""
    pairs = gathered([of_kind(state, OPEN, KEPT), of_kind(notes, OPEN)])
    final = gathered([of_kind(state, FINAL), of_kind(notes, FINAL)])
    told = of_kind(notes, KEPT, REMOVED)
    asks = gathered([of_kind(state, ASK), of_kind(notes, ASK)])
    known = _Known(Nodes(facts_in(state, notes), rule.priority))
    known.take_final(final)
    known.take_told(told)
    known.standing[known.nodes.of(pairs, BETTER)[pairs.column("kind").to_numpy() == KEPT]] = KEPT
    worse, better, similarity = ordered_once(
        known.nodes.of(pairs), known.nodes.of(pairs, BETTER), pairs.column("similarity").to_numpy()
    )
    check_order(worse, better)
    known.keep_unpaired(worse, homes)
    remove_directly(worse, better, similarity, known.standing, known.survivor, known.closest)

    decided = known.nodes.distinct(worse)
    removed = decided[known.standing[decided] == FINAL]
    waiting = np.isin(known.standing[worse], (OPEN, REMOVED))
    nearer = similarity >= known.closest[worse]  # than the best survivor so far, or as near
    counts = (similarity >= 1.0) | (np.isin(known.standing[better], (OPEN, KEPT)) & nearer)
    left = np.flatnonzero(waiting & counts)
    address = known.nodes.addresses
    rows = note(
        np.where(known.standing[better[left]] == KEPT, KEPT, OPEN).astype(np.int8),
        address[worse[left]],
        address[better[left]],
        similarity=pa.array(similarity[left]),
    )
    used = known.nodes.distinct(better[left])
    copies = used[known.standing[used] == FINAL]
    named = known.nodes.distinct(worse[left], used, known.survivor[copies])
    facts = fact_notes(known.nodes.at(address[named]))
    answers, unanswered = _answers(asks, known, homes)
    state = gathered([rows, known.final_notes(copies), unanswered, facts])
    removals = known.nodes.removals(removed, known.survivor[removed], known.closest[removed], rule.reason)
    return Outcome(state, answers, removals, len(left))


class _Known:
    """What a partition knows of the documents of its pairs."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.standing = np.full(len(nodes), OPEN, np.int8)
        self.survivor = np.full(len(nodes), -1, np.int64)
        self.closest = np.zeros(len(nodes))

    def take_final(self, notes: pa.Table) -> None:
        """Documents with their survivors, which are kept; nothing of those that no pair names any more."""
        documents, there = self.nodes.find(addresses(notes))
        notes, documents = notes.filter(pa.array(there)), documents[there]
        survivors = self.nodes.of(notes, BETTER)
        self.standing[survivors] = KEPT
        self.standing[documents] = FINAL
        self.survivor[documents] = survivors
        self.closest[documents] = notes.column("similarity").to_numpy()

    def take_told(self, notes: pa.Table) -> None:
        """Documents that are kept or removed; nothing new of those whose survivor is known."""
        number, there = self.nodes.find(addresses(notes))
        number, kinds = number[there], notes.column("kind").to_numpy()[there]
        new = self.standing[number] != FINAL
        self.standing[number[new]] = kinds[new]

    def keep_unpaired(self, worse: Index, homes: Homes) -> None:
        """Keep the documents at home here that nothing better is paired with."""
        unpaired = homes.own(self.nodes.addresses) & (self.standing == OPEN)
        unpaired[worse] = False
        self.standing[unpaired] = KEPT

    def final_notes(self, documents: Index) -> pa.Table:
        """FINAL notes of these documents."""
        address = self.nodes.addresses
        ends = address[documents], address[self.survivor[documents]]
        return note(FINAL, *ends, similarity=pa.array(self.closest[documents]))


def _answers(asks: pa.Table, known: _Known, homes: Homes) -> tuple[pa.Table, pa.Table]:
    """Notes with keys for those who ask for documents here, and the asking notes that must wait.

    A document here without pairs is not among the nodes: nothing better is paired with it, and it is kept.
    """
    number, there = known.nodes.find(addresses(asks))
    standing = np.full(len(number), KEPT, np.int8)
    standing[there] = known.standing[number[there]]
    copy = asks.column("similarity").to_numpy() >= 1.0
    final = (standing == FINAL) & copy
    plain = (standing == KEPT) | (np.isin(standing, (REMOVED, FINAL)) & ~copy)
    kinds = np.where(standing[plain] == KEPT, KEPT, REMOVED).astype(np.int8)
    to = asks.column("asks").to_numpy()
    short = homes.to_partitions(note(kinds, addresses(asks)[plain]), to[plain])
    whole = homes.to_partitions(known.final_notes(number[final]), to[final])
    facts = homes.facts(known.nodes, (whole, (BETTER,)))
    return pa.concat_tables([short, whole, facts]), asks.filter(pa.array(~(plain | final)))
