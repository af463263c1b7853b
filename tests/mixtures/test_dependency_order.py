"""The order of files by their dependencies, against plain definitions on small graphs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.repository import cycles
from corpusmill.mixtures.repository.cycles import Weights, broken, lost
from corpusmill.mixtures.repository.order import dependency_order

Level = list[set[int]]


def levels_of(most: int, count: int) -> st.SearchStrategy[list[Level]]:
    """Up to `most` nodes with dependencies of `count` levels."""
    return st.integers(1, most).flatmap(
        lambda n: st.lists(
            st.lists(st.sets(st.integers(0, n - 1), max_size=3), min_size=n, max_size=n),
            min_size=count,
            max_size=count,
        )
    )


def reaches(edges: Sequence[Collection[int]]) -> list[set[int]]:
    """From each node all that it depends on, directly or not."""
    found = [set(its) for its in edges]
    for _ in edges:
        found = [its.union(*(found[one] for one in its)) for its in found]
    return found


def kept(order: Sequence[int], node: int, target: int) -> bool:
    return order.index(target) < order.index(node)


@settings(deadline=None, max_examples=200)
@given(levels_of(7, 3))
def test_dependencies_hold_outside_of_the_cycles_of_their_level(levels: list[Level]) -> None:
    order = dependency_order(len(levels[0]), levels)
    assert sorted(order) == list(range(len(levels[0])))
    for count in range(1, len(levels) + 1):
        edges = [set().union(*(level[node] for level in levels[:count])) for node in range(len(order))]
        reached = reaches(edges)
        for node, its in enumerate(edges):
            assert all(kept(order, node, one) for one in its if node not in reached[one] and one != node)


@settings(deadline=None, max_examples=100)
@given(levels_of(6, 2))
def test_the_fewest_dependencies_are_lost(levels: list[Level]) -> None:
    def losses(order: Sequence[int]) -> int:
        return sum(not kept(order, n, one) for n, its in enumerate(levels[0]) for one in its if one != n)

    order = dependency_order(len(levels[0]), levels)
    assert losses(order) == min(map(losses, permutations(range(len(order)))))


def literal_order(dependencies: Sequence[set[int]]) -> list[int]:
    """Algorithm 1 of DeepSeek-Coder word for word, with ties to the smaller number."""
    n = len(dependencies)
    linked = [{*dependencies[i], *(j for j in range(n) if i in dependencies[j])} for i in range(n)]
    parts: list[set[int]] = []
    for node in range(n):
        if not any(node in part for part in parts):
            part, new = {node}, {node}
            while new:
                new = {m for i in new for m in linked[i]} - part
                part |= new
            parts.append(part)
    order: list[int] = []
    for part in parts:
        left = set(part)
        while left:
            node = min(left, key=lambda i: (len(dependencies[i] & left), i))
            left.remove(node)
            order.append(node)
    return order


@settings(deadline=None, max_examples=100)
@given(levels_of(9, 1), st.randoms(use_true_random=False))
def test_without_cycles_the_order_is_that_of_the_paper(levels: list[Level], random: object) -> None:
    names = list(range(len(levels[0])))
    random.shuffle(names)
    acyclic = [{one for one in its if names[one] < names[node]} for node, its in enumerate(levels[0])]
    assert dependency_order(len(names), [acyclic]) == literal_order(acyclic)


def test_what_needs_a_cycle_comes_after_it() -> None:
    app, b, c, d = range(4)
    assert dependency_order(4, [[{b, c, d}, {c}, {d}, {b}]]) == [c, b, d, app] or [d, c, b, app]
    order = dependency_order(4, [[{b}, {c}, {d}, {b}]])
    assert order.index(app) == 3


@settings(deadline=None, max_examples=100)
@given(levels_of(6, 1), st.integers(1, 3))
def test_nodes_that_stand_for_files_are_left_out(levels: list[Level], packages: int) -> None:
    """Depending on a package is depending on its files."""
    files = len(levels[0])
    members = [{node for node in range(files) if (node + package) % 3 == 0} for package in range(packages)]
    through = [
        {one for one in its if one != node} | {files + package for package in range(packages) if not node % 2}
        for node, its in enumerate(levels[0])
    ]
    order = dependency_order(files, [[*through, *members]])
    direct = [
        {one for one in its if one < files}.union(*(members[one - files] for one in its if one >= files))
        for its in through
    ]
    reached = reaches(direct)
    assert sorted(order) == list(range(files))
    for node, its in enumerate(direct):
        assert all(kept(order, node, one) for one in its if node not in reached[one] and one != node)


def weights_of(n: int, seed: int) -> Weights:
    """A ring of n nodes with chords."""
    found: dict[int, dict[int, int]] = {node: {(node + 1) % n: 1 + node % 3} for node in range(n)}
    for node in range(n):
        found[node].setdefault((node * 7 + seed) % n, 1)
        found[node].pop(node, None)
    return found


def test_large_cycles_lose_little() -> None:
    for n in (30, 200):
        for seed in range(5):
            weights = weights_of(n, seed)
            order = broken(range(n), weights)
            assert sorted(order) == list(range(n))
            greedy = cycles._greedy(range(n), weights)
            assert lost(order, weights) <= lost(greedy, weights) < sum(map(len, weights.values())) // 2
            for node in range(0, n, 11):  # no file alone has a better place
                rest = [one for one in order if one != node]
                best = min(lost([*rest[:at], node, *rest[at:]], weights) for at in range(n))
                assert lost(order, weights) <= best


@settings(deadline=None, max_examples=60)
@given(levels_of(7, 1))
def test_the_rule_for_large_cycles_gives_an_order(levels: list[Level]) -> None:
    weights = {node: dict.fromkeys(its - {node}, 1) for node, its in enumerate(levels[0])}
    nodes = list(weights)
    greedy = cycles._greedy(nodes, weights)
    sifted = cycles._sifted(list(greedy), weights)
    assert sorted(greedy) == sorted(sifted) == nodes
    assert lost(cycles._exact(nodes, weights), weights) <= lost(sifted, weights) <= lost(greedy, weights)


def test_deep_chains_and_large_cycles_end() -> None:
    n = 20_000
    chain = [{node + 1} if node + 1 < n else set() for node in range(n)]
    assert dependency_order(n, [chain]) == list(reversed(range(n)))
    ring = [{(node + 1) % n} for node in range(n)]
    order = dependency_order(n, [ring])
    place = {node: at for at, node in enumerate(order)}
    assert sum(place[(node + 1) % n] > place[node] for node in range(n)) == 1
