"""Which documents of pairs are removed, by either rule.

Legend: N documents, numbered from best to worst; P pairs of a worse and a better one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Standings = npt.NDArray[np.int8]

OPEN, KEPT, REMOVED, FINAL = range(4)
"""What is known of a document: nothing; that it is kept; that it is removed; its survivor too."""


@compiled
def remove_directly(
    worse_P: Integers,
    better_P: Integers,
    similarity_P: Floats,
    standing_N: Standings,
    survivor_N: Integers,
    similarity_N: Floats,
) -> None:
    """Decide, in place, the documents that are worse in some pair, as far as what is known allows.

    Pairs are sorted by (worse, better). `standing_N` says what is known before: OPEN of those to decide, and
    of better ones that are decided elsewhere; of FINAL ones `survivor_N` (else -1) and `similarity_N` are
    known. From best to worst, a document is removed if and only if a better document it is paired with is
    kept; its survivor is the most similar of those, the better one if equal. Documents of one shingle set
    (pairs at exactly 1.0) share their fate: where such a better one is removed, its survivor and the
    similarity to it count in its place.

    A document is REMOVED, not yet FINAL, while some better one that could give it another survivor is OPEN.
    """
    p = 0
    while p < len(worse_P):
        worse = worse_P[p]
        removed = False
        waiting = False
        while p < len(worse_P) and worse_P[p] == worse:
            better, similarity = better_P[p], similarity_P[p]
            standing = standing_N[better]
            p += 1
            if similarity >= 1.0:
                removed = True
                if standing == FINAL:
                    better, similarity = survivor_N[better], similarity_N[better]
                elif standing != KEPT:
                    waiting = True
                    continue
            elif standing == OPEN:
                waiting = True
                continue
            elif standing != KEPT:
                continue
            removed = True
            if survivor_N[worse] < 0 or similarity > similarity_N[worse]:
                survivor_N[worse] = better
                similarity_N[worse] = similarity
        if removed:
            standing_N[worse] = REMOVED if waiting else FINAL
        else:
            standing_N[worse] = OPEN if waiting else KEPT


@compiled
def remove_by_component(
    worse_P: Integers, better_P: Integers, similarity_P: Floats, n_docs: int
) -> tuple[Integers, Floats]:
    """Survivor int64[N] (-1: kept) and similarity float64[N] of every document: all of a connected component
    but its best document are removed.

    The similarity is that of the document's closest pair, not of document and survivor.
    """
    root_N = np.arange(n_docs)
    similarity_N = np.zeros(n_docs, np.float64)
    for p in range(len(worse_P)):
        ends = (worse_P[p], better_P[p])
        for end in ends:
            similarity_N[end] = max(similarity_N[end], similarity_P[p])
        a, b = ends
        while root_N[a] != a:
            root_N[a] = root_N[root_N[a]]
            a = root_N[a]
        while root_N[b] != b:
            root_N[b] = root_N[root_N[b]]
            b = root_N[b]
        root_N[max(a, b)] = min(a, b)
    survivor_N = np.full(n_docs, -1, np.int64)
    for i in range(n_docs):
        root = i
        while root_N[root] != root:
            root = root_N[root]
        if root != i:
            survivor_N[i] = root
    return survivor_N, similarity_N
