"""Bounds of extended grapheme clusters (Unicode Standard Annex 29) in UTF-8, in one pass.

What the rules look back at is kept as a state, so a long run of marks costs no more than any other text.
"""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.text.clusters import CLASSES
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.memory import address

OTHER = CLASSES.index("OTHER")
PICTOGRAPHIC = CLASSES.index("PICTOGRAPHIC")
CONSONANT = CLASSES.index("CONSONANT")
CR = CLASSES.index("CR")
LF = CLASSES.index("LF")
CONTROL = CLASSES.index("CONTROL")
EXTEND = CLASSES.index("EXTEND")
JOINING = CLASSES.index("JOINING")
LINKER = CLASSES.index("LINKER")
ZWJ = CLASSES.index("ZWJ")
REGIONAL = CLASSES.index("REGIONAL")
PREPEND = CLASSES.index("PREPEND")
LONER = CLASSES.index("LONER")
SPACINGMARK = CLASSES.index("SPACINGMARK")
L = CLASSES.index("L")
V = CLASSES.index("V")
T = CLASSES.index("T")
LV = CLASSES.index("LV")
LVT = CLASSES.index("LVT")

# What a cluster so far may go on with besides: after an odd number of regional indicators one more (GB12,
# GB13); after a pictograph and marks, and then after ZWJ, another (GB11); after a consonant, and then after a
# linker too, another (GB9c).
NOTHING, ODD, PICTURED, JOINED, BEGUN, LINKED = range(6)


@inlined
def _goes_on(before: int, state: int, kind: int) -> bool:
    """Whether there is no bound between a code point of class `before`, with the `state` after it, and one
    of class `kind`."""
    if before == CR:
        return kind == LF  # GB3
    if CR <= before <= CONTROL or CR <= kind <= CONTROL:
        return False  # GB4, GB5
    if EXTEND <= kind <= ZWJ or kind == SPACINGMARK or before == PREPEND:
        return True  # GB9, GB9a, GB9b
    if kind == CONSONANT:
        return state == LINKED  # GB9c
    if kind == PICTOGRAPHIC:
        return state == JOINED  # GB11
    if kind == REGIONAL:
        return state == ODD  # GB12, GB13
    if before == L:
        return kind in (L, V, LV, LVT)  # GB6
    if before in (LV, V):
        return kind in (V, T)  # GB7
    if before in (LVT, T):
        return kind == T  # GB8
    return False


@inlined
def _after(state: int, kind: int) -> int:
    """The state after a code point of class `kind`."""
    if kind == PICTOGRAPHIC:
        return PICTURED
    if kind == CONSONANT:
        return BEGUN
    if kind == REGIONAL:
        return NOTHING if state == ODD else ODD
    if state == PICTURED:
        return PICTURED if EXTEND <= kind <= LINKER else JOINED if kind == ZWJ else NOTHING
    if state in (BEGUN, LINKED):
        if kind in (LINKER, LONER):
            return LINKED
        return state if kind in (JOINING, ZWJ) else NOTHING
    return NOTHING


@compiled
def walk_clusters(data: Any, start: int, end: int, most: int, class_C: Any) -> tuple[int, int]:
    """Count clusters of data[start:end] (uint8, UTF-8), at most `most`.

    class_C uint8[CODE_POINTS]: `clusters.cluster_classes`. Returns how many there are, and where the last
    one counted ends.
    """
    count = 0
    at = start
    base = address(data)
    before = CONTROL
    state = NOTHING
    while at < end:
        if before == OTHER and 0x20 <= data[at] < 0x7F:  # ASCII after ASCII, mostly
            if count == most:
                return count, at
            count += 1
            state = NOTHING
            at += 1
            continue
        code, after = code_at(base + at, base + end)
        kind = class_C[code]
        if not _goes_on(before, state, kind) or at == start:
            if count == most:
                return count, at
            count += 1
        state = _after(state, kind)
        before = kind
        at = after - base
    return count, end
