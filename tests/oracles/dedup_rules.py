"""The two rules by which removals follow from pairs, in plain Python, over documents numbered best first."""

from __future__ import annotations

from collections.abc import Sequence

Pair = tuple[int, int, float]  # worse, better, similarity
Removals = dict[int, tuple[int, float]]  # removed -> (survivor, similarity)


def direct(pairs: Sequence[Pair]) -> Removals:
    """From best to worst: removed if and only if a better one it is paired with is kept, or is its copy."""
    of_worse: dict[int, set[tuple[int, float]]] = {}
    for worse, better, similarity in pairs:
        of_worse.setdefault(worse, set()).add((better, similarity))
    removed: Removals = {}
    for worse in sorted(of_worse):
        offers = []
        for better, similarity in sorted(of_worse[worse]):
            if better not in removed:
                offers.append((-similarity, better, better))
            elif similarity == 1.0:  # one set, one fate
                survivor, closest = removed[better]
                offers.append((-closest, better, survivor))
        if offers:
            closest, _, survivor = min(offers)
            removed[worse] = survivor, -closest
    return removed


def connected(pairs: Sequence[Pair]) -> Removals:
    """Whole components but their best; the similarity is that of the closest pair."""
    near: dict[int, dict[int, float]] = {}
    for worse, better, similarity in pairs:
        for one, other in ((worse, better), (better, worse)):
            near.setdefault(one, {})[other] = similarity
    removed: Removals = {}
    seen: set[int] = set()
    for best in sorted(near):
        waiting = [] if best in seen else [best]
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            waiting += near[here]
            if here != best:
                removed[here] = best, max(near[here].values())
    return removed
