"""The order of files that all depend on each other: the one in which the fewest dependencies are lost.

That is the minimum feedback arc set of a strongly connected graph, which is NP-hard (Karp 1972). Up to
`EXACT` files it is solved by dynamic programming over sets of files. Above, files are taken from both ends
by the greedy rule of Eades, Lin and Smyth ("A fast and effective heuristic for the feedback arc set
problem", 1993), and up to `SIFTED` files each is then moved to the place where it loses the least, for
`PASSES` rounds at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

Weights = Mapping[int, Mapping[int, int]]
"""By file what each of its dependencies weighs; all within the component, none on itself."""

EXACT, SIFTED, PASSES = 10, 1024, 4


def broken(nodes: Sequence[int], weights: Weights) -> list[int]:
    """`nodes` so that dependencies on later ones weigh as little as is known how; ties to the order of
    `nodes`.

    Time of k nodes with e dependencies: O(2^k k) up to EXACT, O(k^2 + e log e) up to SIFTED, then O(e log e).
    """
    if len(nodes) <= EXACT:
        return _exact(nodes, weights)
    order = _greedy(nodes, weights)
    return _sifted(order, weights) if len(nodes) <= SIFTED else order


def lost(order: Sequence[int], weights: Weights) -> int:
    """Weight of the dependencies that do not stand before the file that has them."""
    place = {node: at for at, node in enumerate(order)}
    return sum(
        weight for node in order for target, weight in weights[node].items() if place[target] > place[node]
    )


def _exact(nodes: Sequence[int], weights: Weights) -> list[int]:
    """The smallest of the best orders. `least[s]` is what the files of set s lose at least, placed last."""
    number = {node: at for at, node in enumerate(nodes)}
    needs = [[(1 << number[target], weight) for target, weight in weights[node].items()] for node in nodes]
    every = (1 << len(nodes)) - 1
    least, first = [0] * (every + 1), [0] * (every + 1)
    for left in range(1, every + 1):
        best = -1
        for at, its in enumerate(needs):
            if left >> at & 1:
                cost = least[left & ~(1 << at)]
                for bit, weight in its:
                    if left & bit:
                        cost += weight
                if best < 0 or cost < best:
                    best, first[left] = cost, at
        least[left] = best
    order, left = [], every
    while left:
        order.append(nodes[first[left]])
        left &= ~(1 << first[left])
    return order


def _greedy(nodes: Sequence[int], weights: Weights) -> list[int]:
    """Files that need nothing left go to the front, those that nothing left needs to the end; without either,
    the one that is needed most beyond what it needs goes to the front."""
    number = {node: at for at, node in enumerate(nodes)}
    needed_by: dict[int, list[tuple[int, int]]] = {node: [] for node in nodes}
    needs, needed = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    for node in nodes:
        for target, weight in weights[node].items():
            needed_by[target].append((node, weight))
            needs[node] += weight
            needed[target] += weight
    heap = [(needs[node] - needed[node], number[node], node) for node in nodes]
    heapify(heap)
    free = [node for node in nodes if not needs[node] or not needed[node]]
    left = set(nodes)
    front: list[int] = []
    back: list[int] = []
    while left:
        node = -1
        if free:
            node = free.pop()
        else:
            excess, _, node = heappop(heap)
            if excess != needs[node] - needed[node]:
                continue  # an entry from before a neighbour was placed
        if node not in left:
            continue
        left.discard(node)
        (front if not needs[node] or needed[node] else back).append(node)
        for target, weight in weights[node].items():
            needed[target] -= weight
        for other, weight in needed_by[node]:
            needs[other] -= weight
        for other in (*weights[node], *(other for other, _ in needed_by[node])):
            if other in left:
                heappush(heap, (needs[other] - needed[other], number[other], other))
                if not needs[other] or not needed[other]:
                    free.append(other)
    return [*front, *reversed(back)]


def _sifted(order: list[int], weights: Weights) -> list[int]:
    """`order` with each file at the place where it alone loses least, until none moves or `PASSES` are
    over.
    """
    place = {node: at for at, node in enumerate(order)}
    around: dict[int, list[tuple[int, int]]] = {node: [] for node in order}
    for node in order:
        for target, weight in weights[node].items():
            # Before `target`, `node` loses the weight; behind `node`, `target` does.
            around[node].append((target, -weight))
            around[target].append((node, weight))
    for _ in range(PASSES):
        moved = False
        for node in list(order):
            at, best, here = place[node], 0, 0
            to = at
            near = sorted((place[other], change) for other, change in around[node])
            for other_at, change in reversed([one for one in near if one[0] < at]):
                here -= change  # moved up, `node` stands before this one
                if here < best:
                    best, to = here, other_at
            here = 0
            for other_at, change in (one for one in near if one[0] > at):
                here += change
                if here < best:
                    best, to = here, other_at
            if to != at:
                moved = True
                order.insert(to, order.pop(at))
                for number in range(min(at, to), max(at, to) + 1):
                    place[order[number]] = number
        if not moved:
            break
    return order
