"""Brute-force near-duplicates: every pair is looked at, then documents fall from best to worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.oracles.dedup_words import contained, jaccard


@dataclass(frozen=True)
class Doc:
    """One document as the survivor's order sees it; `shingles` is its sorted distinct set."""

    id: str
    source: str
    size: int
    shingles: tuple[int, ...]


def order(docs: Sequence[Doc], priority: Sequence[str]) -> list[int]:
    """Positions from best to worst."""

    def key(i: int) -> tuple[int, int, str, int]:
        place = priority.index(docs[i].source) if docs[i].source in priority else len(priority)
        return place, -docs[i].size, docs[i].id, i

    return sorted(range(len(docs)), key=key)


def removals(
    docs: Sequence[Doc],
    threshold: float,
    priority: Sequence[str] = (),
    candidate: Callable[[int, int], bool] = lambda i, j: True,
    containment: bool = False,
) -> dict[str, tuple[str, float]]:
    """Removed id -> (survivor id, similarity), over all candidate pairs of at least `threshold`, by the
    Jaccard index or by the share of the worse document's shingles that the better one has."""
    measure, least = (contained, min(threshold, 1 - 2.0**-53)) if containment else (jaccard, threshold)
    removed: dict[int, tuple[int, float]] = {}
    best_first = [i for i in order(docs, priority) if docs[i].shingles]
    first_of: dict[tuple[int, ...], int] = {}
    for place, i in enumerate(best_first):
        twin = first_of.setdefault(docs[i].shingles, i)
        kept = [
            (-similarity, rank, j)
            for rank, j in enumerate(best_first[:place])
            if j not in removed and candidate(i, j)
            if (similarity := measure(list(docs[i].shingles), list(docs[j].shingles))) >= least
        ]
        if twin != i:  # one set, one fate
            assert kept, "the survivor of a twin is a neighbour of both"
            removed[i] = removed.get(twin, (twin, 1.0))
        elif kept:
            similarity, _, j = min(kept)
            removed[i] = (j, -similarity)
    return {docs[i].id: (docs[j].id, similarity) for i, (j, similarity) in removed.items()}


def pairs_in_buckets(
    docs: Sequence[Doc], keys: Sequence[Sequence[int]], threshold: float, max_bucket: int
) -> set[tuple[str, str]]:
    """Ids of all pairs that `Minhash` gives, worse and better, bucket by bucket, whatever other buckets they
    share: of at most `max_bucket` better sets all are looked at, of more the leaders of the bucket alone."""
    found: set[tuple[str, str]] = set()
    first_of: dict[tuple[int, ...], int] = {}
    buckets: dict[int, list[int]] = {}
    for i in order(docs, ()):
        first = first_of.setdefault(docs[i].shingles, i)
        if first != i:
            found.add((docs[i].id, docs[first].id))
        for key in keys[i] if first == i else ():
            buckets.setdefault(key, []).append(i)
    for members in buckets.values():
        leaders: list[int] = []
        for place, i in enumerate(members):
            its, better = list(docs[i].shingles), leaders if place > max_bucket else members[:place]
            alike = [j for j in better if jaccard(its, list(docs[j].shingles)) >= threshold]
            found |= {(docs[i].id, docs[j].id) for j in alike}
            if not alike and len(leaders) < max_bucket:
                leaders.append(i)
    return found
