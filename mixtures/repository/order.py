"""The order of a repository's files: each after those it depends on, as far as cycles allow.

DeepSeek-Coder (Guo et al. 2024, arXiv 2401.14196, section 2.2, algorithm 1) places connected parts one after
the other, and in each the file with the fewest dependencies not yet placed. Where a cycle stands before
other files, that rule may take one of these first. Here a cycle costs nothing outside of itself: files that
depend on each other directly or indirectly (a strongly connected component, Tarjan 1972) are ordered among
themselves, components topologically (Kahn 1962). Of components whose turn it could be, the one with the
smallest path comes first; without cycles the order is that of the algorithm.

Dependencies have levels, the firmest first. Those of all levels hold outside of their common cycles; within
such a cycle those of all levels but the last hold outside of theirs, and so on. What is left are cycles
of the firmest dependencies, which `cycles` breaks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from corpusmill.mixtures.repository.cycles import Weights, broken

Edges = Mapping[int, Collection[int]]


def dependency_order(count: int, levels: Sequence[Sequence[Collection[int]]]) -> list[int]:
    """A permutation of the files 0..count-1 in which `levels[k][i]`, as far as possible, stand before file i.

    Files are numbered in the order of their paths, which decides ties. Nodes from `count` on stand for
    several files, their dependencies, and are not in the result. Time: O((n + edges) log n) for n nodes, and
    within cycles as `cycles` has it.
    """
    graph = [{node: set(its) - {node} for node, its in enumerate(level)} for level in levels]
    order: list[int] = []
    for part in _connected(graph, count):
        order.extend(node for node in _by_levels(graph, part, count) if node < count)
    return order


def _rank(node: int, count: int) -> int:
    """What decides between nodes that could be next: one that stands for files comes as soon as they have."""
    return node if node < count else -node


def _connected(graph: Sequence[Edges], count: int) -> list[list[int]]:
    """Parts connected by dependencies of any level, in the order of their first file."""
    linked: dict[int, list[int]] = {node: [] for node in graph[0]}
    for level in graph:
        for node, targets in level.items():
            linked[node].extend(targets)
            for target in targets:
                linked[target].append(node)
    seen = [False] * len(linked)
    parts: list[list[int]] = []
    for start in range(count):
        if seen[start]:
            continue
        seen[start] = True
        part = [start]
        for node in part:  # grows while it is read
            for other in linked[node]:
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        parts.append(sorted(part))
    return parts


def _by_levels(graph: Sequence[Edges], nodes: Sequence[int], count: int) -> Iterator[int]:
    """`nodes` in the order of the dependencies among them."""
    if len(nodes) == 1:
        yield nodes[0]
        return
    inside = set(nodes)
    within = [{node: set(level[node]) & inside for node in nodes} for level in graph]
    yield from _of_level(within, len(graph), nodes, count)


def _of_level(graph: Sequence[Edges], firmest: int, nodes: Sequence[int], count: int) -> Iterator[int]:
    """`nodes` by the components of the `firmest` first levels, each by those of one level fewer."""
    if not firmest:
        yield from broken(nodes, _weights(graph, nodes))
        return
    edges = {node: set().union(*(level[node] for level in graph[:firmest])) for node in nodes}
    wanted = {node: set().union(*(level[node] for level in graph[firmest:])) for node in nodes}
    for component in _topological(_components(edges, nodes), edges, wanted, count):
        if len(component) == 1:
            yield component[0]
            continue
        inside = set(component)
        within = [{node: set(level[node]) & inside for node in component} for level in graph]
        yield from _of_level(within, firmest - 1, component, count)


def _weights(graph: Sequence[Edges], nodes: Sequence[int]) -> Weights:
    """What a dependency among `nodes` is worth: one more than all of less firm levels together."""
    weights: dict[int, dict[int, int]] = {node: {} for node in nodes}
    worth = 1
    for level in reversed(graph):
        for node in nodes:
            weights[node].update(dict.fromkeys(level[node], worth))
        worth += worth * sum(len(level[node]) for node in nodes)
    return weights


def _components(edges: Edges, nodes: Sequence[int]) -> list[list[int]]:
    """Strongly connected components of `nodes`, each in the order of `nodes`.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), with a stack instead of recursion.
    """
    place = {node: at for at, node in enumerate(nodes)}
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    components: list[list[int]] = []
    for root in nodes:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_nodes.append(root)
        is_open.add(root)
        visits = [(root, iter(edges[root]))]
        while visits:
            node, targets = visits[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    open_nodes.append(target)
                    is_open.add(target)
                    visits.append((target, iter(edges[target])))
                    break
                if target in is_open:
                    low[node] = min(low[node], index[target])
            else:
                visits.pop()
                if visits:
                    low[visits[-1][0]] = min(low[visits[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(open_nodes.pop())
                        is_open.discard(component[-1])
                    components.append(sorted(component, key=place.__getitem__))
    return components


def _topological(
    components: Sequence[Sequence[int]], edges: Edges, wanted: Edges, count: int
) -> Iterable[Sequence[int]]:
    """Components so that no `edges` lead to a later one.

    Of those that could be next, the one with the fewest `wanted` dependencies on components not yet placed
    comes first, then the one of the least rank.
    """
    of = {node: number for number, component in enumerate(components) for node in component}
    firsts = [min(_rank(node, count) for node in component) for component in components]
    needs = [_others(component, edges, of) for component in components]
    wants = [_others(component, wanted, of) for component in components]
    needed_by: list[list[int]] = [[] for _ in components]
    wanted_by: list[list[int]] = [[] for _ in components]
    for number in range(len(components)):
        for other in needs[number]:
            needed_by[other].append(number)
        for other in wants[number]:
            wanted_by[other].append(number)
    needing, wanting = [len(one) for one in needs], [len(one) for one in wants]
    placed = [False] * len(components)
    heap = [(wanting[number], first, number) for number, first in enumerate(firsts) if not needs[number]]
    heapify(heap)
    while heap:
        missing, _, number = heappop(heap)
        if placed[number] or missing != wanting[number]:
            continue  # an entry from before something that it wanted was placed
        placed[number] = True
        yield components[number]
        for other in wanted_by[number]:
            wanting[other] -= 1
            if not needing[other] and not placed[other]:
                heappush(heap, (wanting[other], firsts[other], other))
        for other in needed_by[number]:
            needing[other] -= 1
            if not needing[other]:
                heappush(heap, (wanting[other], firsts[other], other))


def _others(component: Sequence[int], edges: Edges, of: Mapping[int, int]) -> set[int]:
    """Numbers of the other components that `edges` of this one lead to."""
    return {of[target] for node in component for target in edges[node]} - {of[component[0]]}
