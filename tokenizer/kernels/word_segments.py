"""Words as runs of tokens in one flat array, cut into segments so that no merge scans a very long word whole.

The array, int32[L], holds segment after segment: two elements for the word's count (low, high 32 bits;
negative where the segment continues the one before it), up to SEGMENT tokens, and an end mark. A segment that
is followed by another of its word is exactly STRIDE elements long, for ever: merging moves its tokens to the
left within it and leaves the rest unused. A place is the index of a segment's first element; it fits int32.

The first segment of a word never becomes empty, the others can: a merge across segments puts the new token
where the left one stood.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

Integers = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

SEGMENT = 128
HEADER = 2
STRIDE = HEADER + SEGMENT + 1
LAST = -1  # end mark of a word
MORE = -2  # end mark of a segment that another follows


@compiled
def segments_length(offsets: Integers) -> int:
    """Length L of the flat array of the words of `offsets` int64[n + 1]; shorter than two bytes: left out."""
    length = 0
    for word in range(len(offsets) - 1):
        size = offsets[word + 1] - offsets[word]
        if size >= 2:
            length += size + (size + SEGMENT - 1) // SEGMENT * (HEADER + 1)
    return length


@compiled
def write_segments(offsets: Integers, data: Bytes, counts: Integers, rank: Tokens, length: int) -> Tokens:
    """The flat array int32[length]; `rank` int32[256] gives the token of each byte."""
    flat = np.empty(length, np.int32)
    to = 0
    for word in range(len(offsets) - 1):
        first, end = offsets[word], offsets[word + 1]
        if end - first < 2:
            continue
        for start in range(first, end, SEGMENT):
            count = counts[word] if start == first else -counts[word]
            flat[to] = np.int32(count & 0xFFFFFFFF)
            flat[to + 1] = np.int32(count >> 32)
            to += HEADER
            stop = min(start + SEGMENT, end)
            for at in range(start, stop):
                flat[to] = rank[data[at]]
                to += 1
            flat[to] = LAST if stop == end else MORE
            to += 1
    return flat


@compiled
def signed_count(flat: Tokens, place: int) -> int:
    """The count of the word, negative where the segment continues another."""
    return (integer(flat[place + 1]) << 32) | (integer(flat[place]) & 0xFFFFFFFF)


@compiled
def end_of(flat: Tokens, place: int) -> int:
    """Index of the end mark of a segment."""
    at = place + HEADER
    while flat[at] >= 0:
        at += 1
    return at


@compiled
def place_after(flat: Tokens, place: int) -> int:
    """Place of the next segment that is not empty, or -1; for a segment whose end mark is MORE."""
    place += STRIDE
    while flat[place + HEADER] == MORE:
        place += STRIDE
    return -1 if flat[place + HEADER] == LAST else place


@compiled
def token_before(flat: Tokens, place: int) -> tuple[int, int]:
    """The token before a segment that continues another, and the place where it stands."""
    place -= STRIDE
    while flat[place + HEADER] < 0:
        place -= STRIDE
    return integer(flat[end_of(flat, place) - 1]), place
