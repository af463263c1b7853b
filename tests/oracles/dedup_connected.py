"""Documents connected by shared lines, by merging sets until nothing changes; `connected` must agree."""

from __future__ import annotations

from collections.abc import Sequence


def survivors(documents: Sequence[tuple[str, str]]) -> list[int]:
    """Place of the survivor of each (id, text): of those connected the one of smallest id, then the first."""
    sets = [({n}, {*text.split("\n")} - {"", " "}) for n, (_, text) in enumerate(documents)]
    merged = True
    while merged:
        merged = False
        for one in sets:
            for other in sets:
                if one is not other and one[1] & other[1]:
                    sets.remove(other)
                    one[0].update(other[0])
                    one[1].update(other[1])
                    merged = True
                    break
            if merged:
                break
    found = [0] * len(documents)
    for places, _ in sets:
        best = min(places, key=lambda place: (documents[place][0], place))
        for place in places:
            found[place] = best
    return found
