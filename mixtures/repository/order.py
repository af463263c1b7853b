"""The order of a repository's files: each after those it depends on, cycles broken by smallest in-degree.

Algorithm 1 of DeepSeek-Coder (Guo et al. 2024, arXiv 2401.14196, section 2.2): an edge from B to A where A
depends on B; connected parts one after the other; in each, the file with the fewest dependencies not yet
placed comes next, which is a topological order where there is one and goes on where there is a cycle.
Ties, which the paper leaves open, go to the smaller path.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from corpusmill.mixtures.repository.imports import imports_of, language_of
from corpusmill.mixtures.repository.resolve import Files


def dependencies_of(paths: Sequence[str], texts: Sequence[str]) -> list[set[int]]:
    """For each of n files the numbers of the files it depends on."""
    files = Files(paths)
    found: list[set[int]] = []
    for path, text in zip(paths, texts, strict=True):
        language = language_of(path)
        imports = dict.fromkeys(imports_of(text, language)) if language is not None else ()
        found.append({t for one in imports for t in files.targets(path, language or "", one)})
    return found


def dependency_order(names: Sequence[str], dependencies: Sequence[set[int]]) -> list[int]:
    """A permutation of 0..n-1; `names` (distinct) decide ties. Time: O((n + edges) log n)."""
    dependents: list[list[int]] = [[] for _ in names]
    for node, targets in enumerate(dependencies):
        for target in targets:
            dependents[target].append(node)
    order: list[int] = []
    for part in _connected(names, dependencies, dependents):
        order.extend(_smallest_in_degree(part, names, dependencies, dependents))
    return order


def _connected(
    names: Sequence[str], dependencies: Sequence[set[int]], dependents: Sequence[list[int]]
) -> list[list[int]]:
    """Connected parts of the graph, each and all sorted by their smallest name."""
    seen = [False] * len(names)
    parts: list[list[int]] = []
    for start in sorted(range(len(names)), key=names.__getitem__):
        if seen[start]:
            continue
        seen[start] = True
        part, queue = [], [start]
        while queue:
            node = queue.pop()
            part.append(node)
            for other in (*dependencies[node], *dependents[node]):
                if not seen[other]:
                    seen[other] = True
                    queue.append(other)
        parts.append(part)
    return parts


def _smallest_in_degree(
    part: Sequence[int],
    names: Sequence[str],
    dependencies: Sequence[set[int]],
    dependents: Sequence[list[int]],
) -> list[int]:
    waiting = {node: len(dependencies[node]) for node in part}
    heap = [(degree, names[node], node) for node, degree in waiting.items()]
    heapify(heap)
    order: list[int] = []
    while heap:
        degree, _, node = heappop(heap)
        if waiting.get(node) != degree:
            continue  # an entry from before the file's count became less, or of a file already placed
        del waiting[node]
        order.append(node)
        for other in dependents[node]:
            if other in waiting:
                waiting[other] -= 1
                heappush(heap, (waiting[other], names[other], other))
    return order
