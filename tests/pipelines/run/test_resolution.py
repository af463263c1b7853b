"""Removals in rounds over partitions equal those of all pairs at once, and of plain Python, for any pairs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.run.resolution import connected, direct
from corpusmill.pipelines.run.resolution.at_once import resolve_at_once
from corpusmill.pipelines.run.resolution.notes import FACT, NOTES, Homes, gathered
from tests.oracles import dedup_rules
from tests.oracles.dedup_rules import Pair, Removals

Rule = Literal["direct", "connected"]
RULES: dict[Rule, ModuleType] = {"direct": direct, "connected": connected}
ORACLES: dict[Rule, Callable[[Sequence[Pair]], Removals]] = {
    "direct": dedup_rules.direct,
    "connected": dedup_rules.connected,
}


def facts_of(number: int) -> tuple[int, int, str, str, int]:
    """Unit, row, id, source and bytes of a document: sources, then bytes, then ids decide; addresses are no
    help."""
    mixed = number * 2654435761 % 1009
    return mixed % 7, number, f"{number:032x}", "ab"[number % 6 >= 3], 100 - number % 3


def best_first(documents: int) -> list[int]:
    """Documents in the order of survival, with source `b` before others."""

    def key(number: int) -> tuple[bool, int, str]:
        _, _, identity, source, size = facts_of(number)
        return source != "b", -size, identity

    return sorted(range(documents), key=key)


def table_of(pairs: Sequence[Pair], documents: int) -> pa.Table:
    """`DUPLICATES` of pairs of places in `best_first`."""
    order = best_first(documents)
    rows = []
    for worse, better, similarity in pairs:
        row = dict(zip(("unit", "row", "id", "source", "bytes"), facts_of(order[worse]), strict=True))
        ends = zip(("unit", "row", "id", "source", "bytes"), facts_of(order[better]), strict=True)
        row |= {f"survivor_{name}": value for name, value in ends}
        rows.append({**row, "reason": "near", "similarity": similarity})
    return pa.Table.from_pylist(rows, DUPLICATES)


def in_rounds(
    found: pa.Table, resolution: Resolution, partitions: int, gather: int = 0
) -> tuple[pa.Table, int]:
    """Removals by address, and the number of rounds; of `direct` at most `gather` open pairs are decided in
    one go."""
    rule = RULES[resolution.rule]
    halves = [found.slice(0, found.num_rows // 2), found.slice(found.num_rows // 2)]
    sent = pa.concat_tables([rule.first_notes(half, Homes(partitions)) for half in halves])
    states = [NOTES.empty_table()] * partitions
    removed = [DUPLICATES.empty_table()]
    rounds = 0
    while True:
        placed = partition_of(sent.column("key").to_numpy(), partitions)
        notes = [gathered([sent.filter(pa.array(placed == number))]) for number in range(partitions)]
        rounds += 1
        outcomes = [
            rule.round_of(states[number], notes[number], Homes(partitions, number), resolution)
            for number in range(partitions)
        ]
        states = [outcome.state for outcome in outcomes]
        sent = pa.concat_tables([outcome.sent for outcome in outcomes])
        removed += [outcome.removed for outcome in outcomes]
        undecided = sum(outcome.undecided for outcome in outcomes)
        if undecided == 0:
            break
        if resolution.rule == "direct" and undecided <= gather:
            last = direct.round_of(gathered(states), gathered([sent]), Homes(partitions), resolution)
            assert last.undecided == 0
            removed.append(last.removed)
            break
    if resolution.rule == "connected":
        removed = [connected.removals(state, resolution) for state in states]
    by = [("unit", "ascending"), ("row", "ascending")]
    return pa.concat_tables(removed).sort_by(by), rounds


def check(pairs: Sequence[Pair], documents: int, rule: Rule, partitions: int, gather: int = 0) -> int:
    """Compare the three; returns the number of rounds."""
    resolution = Resolution(rule, "near", ("b",))
    found = table_of(pairs, documents)
    whole = resolve_at_once(found, resolution)
    order = best_first(documents)
    wanted = {order[one]: (order[two], closest) for one, (two, closest) in ORACLES[rule](pairs).items()}
    assert {row["row"]: (row["survivor_row"], row["similarity"]) for row in whole.to_pylist()} == wanted
    rounds, number = in_rounds(found, resolution, partitions, gather)
    assert rounds.equals(whole.combine_chunks()) or rounds.to_pylist() == whole.to_pylist()
    return number


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Pair], int]:
    """Pairs of up to 24 documents, some repeated; similarities with ties, and copies."""
    documents = draw(st.integers(2, 24))
    ends = st.tuples(st.integers(0, documents - 1), st.integers(0, documents - 1)).filter(
        lambda e: e[0] != e[1]
    )
    weights = draw(st.dictionaries(ends.map(lambda e: (max(e), min(e))), st.sampled_from([0.8, 0.9, 1.0])))
    pairs = [(worse, better, similarity) for (worse, better), similarity in weights.items()]
    again = draw(st.lists(st.sampled_from(pairs), max_size=6)) if pairs else []
    return draw(st.permutations([*pairs, *again])), documents


@settings(max_examples=300, deadline=None)
@given(graphs(), st.sampled_from(sorted(RULES)), st.integers(1, 7), st.sampled_from([0, 3, 10]))
def test_any_pairs(graph: tuple[list[Pair], int], rule: Rule, partitions: int, gather: int) -> None:
    check(*graph, rule, partitions, gather)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("length", [50, 200])
@pytest.mark.parametrize("mixed", [False, True])
def test_chains(rule: Rule, length: int, mixed: bool) -> None:
    """Neighbours are alike: every other document stays, or the best alone, after a number of rounds that
    grows with the logarithm of the length."""
    order = list(range(length))
    if mixed:
        random.Random(length).shuffle(order)
    ends = list(zip(order[1:], order, strict=False))
    pairs = [(max(a, b), min(a, b), 0.9) for a, b in ends]
    rounds = check(pairs, length, rule, 5)
    if rule == "connected":
        assert rounds <= 2 + 2 * length.bit_length()
    check(pairs, length, rule, 3, gather=length // 2)


def test_a_chain_of_copies_leads_to_its_end() -> None:
    pairs = [(number + 1, number, 1.0) for number in range(1, 60)] + [(1, 0, 0.85)]
    check(pairs, 61, "direct", 4)
    check(pairs, 61, "direct", 4, gather=20)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_stars_and_cliques(rule: Rule) -> None:
    star = [(number, 0, 0.8 + number % 3 / 10) for number in range(1, 80)]
    check(star, 80, rule, 6)
    upside_down = [(79, number, 0.8 + number % 3 / 10) for number in range(79)]
    check(upside_down, 80, rule, 6)
    clique = [(a, b, 0.9) for a in range(25) for b in range(a)]
    check(clique, 25, rule, 6)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_many_random_pairs(rule: Rule) -> None:
    draw = random.Random(5)
    pairs = {}
    for _ in range(3000):
        a, b = sorted(draw.sample(range(2500), 2))
        pairs[b, a] = draw.choice([0.8, 0.85, 0.9, 1.0])
    graph = [(worse, better, similarity) for (worse, better), similarity in pairs.items()]
    rounds = check([*graph, *graph[:500]], 2500, rule, 8)
    assert rounds <= 30


def test_a_popular_document_is_one_note_a_partition() -> None:
    """However many documents point to it."""
    pairs = [(number, 0, 0.9) for number in range(1, 400)]
    found = table_of(pairs, 400)
    for rule in RULES.values():
        notes = rule.first_notes(found, Homes(4))
        kinds = Counter(notes.column("kind").to_pylist())
        assert kinds.pop(direct.OPEN) == 399
        assert kinds.pop(FACT) == 399 + 4, "a note of facts each, and of the popular one for each partition"
        assert sum(kinds.values()) <= 3
    resolution = Resolution("connected", "near", ("b",))
    sent = connected.first_notes(found, Homes(4))
    placed = partition_of(sent.column("key").to_numpy(), 4)
    for number in range(4):
        mine = gathered([sent.filter(pa.array(placed == number))])
        outcome = connected.round_of(NOTES.empty_table(), mine, Homes(4, number), resolution)
        assert outcome.sent.num_rows <= 1


def test_a_pair_in_the_wrong_order_is_told() -> None:
    found = table_of([(1, 0, 0.9), (1, 2, 0.9)], 3)
    resolution = Resolution("direct", "near", ("b",))
    for decide in (resolve_at_once, lambda found, rule: in_rounds(found, rule, 1)):
        with pytest.raises(CorpusmillError, match="1 of 2 pairs do not name the worse document first; order"):
            decide(found, resolution)


def test_no_pairs() -> None:
    for rule in sorted(RULES):
        check([], 1, rule, 3)
    assert np.array_equal(best_first(0), [])
