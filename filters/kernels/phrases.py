"""Phrases that are looked for in a line, in any case, by group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.lines import matches
from corpusmill.pipelines.text.kernels.memory import address, byte_at

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


class Phrases(NamedTuple):
    """Phrases in lower-case ASCII: number k is `data[offsets[k]:offsets[k + 1]]`, of group `groups[k]`."""

    offsets: Counts
    data: Bytes
    groups: Counts
    starts: npt.NDArray[np.uint64]
    """uint64[3, 256]: by place, of the first three, and byte: a bit for every phrase that has it there."""


@compiled
def groups_in(at: int, end: int, phrases: Phrases) -> int:
    """The groups of phrases that stand between two addresses, in any case."""
    first, second, third = phrases.starts[0], phrases.starts[1], phrases.starts[2]
    found = 0
    while at + 2 < end:
        bits = first[byte_at(at)] & second[byte_at(at + 1)] & third[byte_at(at + 2)]
        if bits:
            for k in range(len(phrases.groups)):
                start, stop = phrases.offsets[k], phrases.offsets[k + 1]
                if matches(at, end, address(phrases.data) + start, stop - start):
                    found |= phrases.groups[k]
        at += 1
    return found


def phrases_of(groups: dict[int, tuple[str, ...]]) -> Phrases:
    """Phrases of ASCII, each of at least three characters, by group."""
    pairs = [(group, text.lower().encode("ascii")) for group, texts in groups.items() for text in texts]
    starts = np.zeros((3, 256), np.uint64)
    for k, (_, text) in enumerate(pairs):
        for place, byte in enumerate(text[:3]):
            for same in {byte, ord(chr(byte).upper())}:
                starts[place, same] |= np.uint64(1 << k)
    return Phrases(
        np.cumsum([0, *(len(text) for _, text in pairs)], dtype=np.int64),
        np.frombuffer(b"".join(text for _, text in pairs), np.uint8),
        np.array([group for group, _ in pairs], np.int64),
        starts,
    )
