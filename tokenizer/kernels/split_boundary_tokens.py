"""Copies tokens, splitting some of the combined ones and refusing those that no text may give.

A token's draw is the output number `position + 1` of SplitMix64 (Steele, Lea and Flood 2014) seeded with its
document's draw: any of them is found without those before, so the choice does not depend on the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.mixing import GOLDEN

CONTROL = -2  # rows of `row_V` below: a token that no text may give
ORDINARY = -1  # copied as it is; a combined token has its row in the table of parts

NO_ROOM = -1  # what copying returns where `out` is too small
REFUSED = -2  # and where it met a CONTROL token


@compiled
def splitmix64(seed: Any, position: int) -> Any:
    """Output number `position + 1` of SplitMix64 from `seed`, uint64."""
    return mix(seed + np.uint64(position + 1) * GOLDEN)


@compiled
def split_boundary_tokens(
    tokens: Any,
    start: int,
    end: int,
    first: int,
    draw: Any,
    share: int,
    marked: Any,
    row_V: Any,
    starts: Any,
    parts: Any,
    counts: Any,
    out: Any,
    at: int,
) -> int:
    """Write tokens[start:end], uint32, into out[at:] with some combined ones split; returns their end.

    `first`: where the document's tokens begin in `tokens`; draw uint64: the document's; share: the rate times
    2**53. marked uint8[...]: a bit for every id, and for more, that is set where the token is not ordinary:
    a table small enough for the processor's nearest cache. row_V int32[V]; the parts of row r are
    parts[starts[r]:starts[r + 1]]. counts int32[2] grows by the combined tokens met, and by those split.
    NO_ROOM or REFUSED instead of an end where there is no room or a token is not one of text.
    """
    if at + (end - start) > len(out):
        return NO_ROOM
    room = len(out) - at - (end - start)  # beyond a place for every token
    for i in range(start, end):
        token = tokens[i]
        byte = token >> 3
        if byte >= len(marked) or (marked[byte] >> (token & 7)) & 1:
            row = row_V[token] if token < len(row_V) else CONTROL
            if row == CONTROL:
                return REFUSED
            counts[0] += 1
            if np.int64(splitmix64(draw, i - first) >> np.uint64(11)) < share:
                counts[1] += 1
                room -= starts[row + 1] - starts[row] - 1
                if room < 0:
                    return NO_ROOM
                for part in range(starts[row], starts[row + 1]):
                    out[at] = parts[part]
                    at += 1
                continue
        out[at] = token
        at += 1
    return at
