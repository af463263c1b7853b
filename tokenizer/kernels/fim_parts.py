"""Where fill-in-the-middle cuts documents: bounds of clusters or of lines, found in UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, inlined, integer
from corpusmill.pipelines.text.kernels.clusters import walk_clusters

CLUSTERS, LINES = range(2)  # kinds of places


@inlined
def _place(draw: Any, places: int) -> int:
    """The draw's place, uniform among 0 to `places` - 1."""
    return integer(((draw >> np.uint64(32)) * np.uint64(places)) >> np.uint64(32))


@compiled
def walk_lines(data: Any, start: int, end: int, most: int) -> tuple[int, int]:
    """Count lines of data[start:end], at most `most`: how many there are, where the last one counted ends.

    LF, CR LF and CR end a line; what stands after the last of them is one too.
    """
    count = 0
    at = start
    while at < end:
        if count == most:
            return count, at
        while at < end and data[at] != 0x0A and data[at] != 0x0D:
            at += 1
        if at < end:
            at += 2 if data[at] == 0x0D and at + 1 < end and data[at + 1] == 0x0A else 1
        count += 1
    return count, end


@compiled
def fim_parts(
    offsets: Any, data: Any, chosen: Any, first: Any, second: Any, kind_D: Any, class_C: Any
) -> Any:
    """Boundaries of the parts of each document.

    offsets int64[n + 1], data uint8[...] UTF-8, chosen bool[n], first and second uint64[n] uniform draws,
    kind_D uint8[n]: CLUSTERS or LINES; class_C: `text.clusters.cluster_classes`. A chosen document of c
    places, its two ends among them, is cut at those of the numbers `(draw >> 32) * c >> 32` of both draws.
    Returns int64[n + 2 * sum(chosen) + 1], absolute in `data`. Reads a chosen document twice.
    """
    n = len(offsets) - 1
    bounds = np.empty(n + 2 * int(np.sum(chosen)) + 1, np.int64)
    part = 0
    bounds[0] = offsets[0]
    for doc in range(n):
        start, end = offsets[doc], offsets[doc + 1]
        if chosen[doc]:
            kind = kind_D[doc]
            if kind == CLUSTERS:
                places = walk_clusters(data, start, end, integer(end), class_C)[0] + 1
            else:
                places = walk_lines(data, start, end, integer(end))[0] + 1
            one = _place(first[doc], places)
            two = _place(second[doc], places)
            low, high = (one, two) if one < two else (two, one)
            if kind == CLUSTERS:
                cut = walk_clusters(data, start, end, low, class_C)[1]
                bounds[part + 1] = cut
                bounds[part + 2] = walk_clusters(data, cut, end, high - low, class_C)[1]
            else:
                cut = walk_lines(data, start, end, low)[1]
                bounds[part + 1] = cut
                bounds[part + 2] = walk_lines(data, cut, end, high - low)[1]
            part += 2
        bounds[part + 1] = end
        part += 1
    return bounds
