"""Look-up of paths by their last components, and among several the one nearest to a given path.

Costs, so that crafted repositories stay cheap: an index of n paths sorts them once; each distinct end costs
two binary searches and a copy of the paths that match it, which sums up to no more than the paths have
components; each look-up costs two binary searches more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from posixpath import commonprefix


class PathEnds:
    """Paths (str[n], "/" between components) found by what they end in."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._backward = sorted(f"/{path}"[::-1] for path in set(paths))
        self._matching: dict[str, list[str]] = {}
        self._best: dict[tuple[str, str], str] = {}

    def all(self, end: str) -> list[str]:
        """The paths that are `end` or end in "/" + `end`, sorted; not to be changed."""
        matching = self._matching.get(end)
        if matching is None:
            matching = self._matching[end] = sorted(
                path[::-1][1:] for path in _beginning(self._backward, f"/{end}"[::-1])
            )
        return matching

    def nearest(self, end: str, to: str) -> str | None:
        """The path that is `end` or ends in "/" + `end`; None without any.

        Of several the one that shares the longest beginning with `to` (counted in characters), then the
        shortest, then the first in order.
        """
        matching = self.all(end)
        if not matching:
            return None
        # In order, the paths that share most with `to` stand where it would be put in.
        at = bisect_left(matching, to)
        shared = max((commonprefix([path, to]) for path in matching[max(0, at - 1) : at + 1]), key=len)
        best = self._best.get((end, shared))
        if best is None:
            best = min(_beginning(matching, shared), key=lambda path: (len(path), path))
            self._best[end, shared] = best
        return best


def _beginning(ordered: list[str], prefix: str) -> list[str]:
    """Those of `ordered` (sorted) that begin with `prefix`."""
    first = bisect_left(ordered, prefix)
    last = bisect_right(ordered, prefix, lo=first, key=lambda text: text[: len(prefix)])
    return ordered[first:last]
