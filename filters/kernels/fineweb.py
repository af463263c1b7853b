"""Counts behind the FineWeb quality rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.characters import TERMINAL
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.lines import BLANK, REPEATS
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.views import Lines, Texts

Counts = npt.NDArray[np.int64]


class FinewebCounts(NamedTuple):
    """Each int64[n], one number a document; those of the parts of a large one add up.

    Lines are cut at the line feeds of `Texts`, which stand for every line end; blank ones do not count."""

    lines: Counts
    terminated: Counts
    """Lines whose last character, as they stand, ends a sentence."""
    short: Counts
    duplicate_characters: Counts
    """Code points of lines that equal an earlier one."""
    characters: Counts
    """Code points other than line feeds, blank lines' included."""
    line_feeds: Counts


@compiled
def fineweb_counts(texts: Texts, lines: Lines, short: Counts) -> FinewebCounts:
    """What is counted in each document of a part; a line is short with at most `short[i]` code points."""
    n = len(texts.starts)
    table, begin = address(texts.table), address(texts.data)
    found = np.zeros((6, n), np.int64)
    for i in range(n):
        some = terminated = shorter = repeated = characters = feeds = 0
        for line in range(lines.firsts[i], lines.lasts[i]):
            length, flags = lines.characters[line], lines.flags[line]
            characters += length
            feeds += lines.stops[line] < texts.ends[i]
            if flags & BLANK:
                continue
            some += 1
            shorter += length <= short[i]
            repeated += length if flags & REPEATS else 0
            stop = begin + lines.stops[line]
            code, _ = code_at(before(stop, begin + lines.starts[line]), stop)
            terminated += (properties(table, code) & TERMINAL) != 0
        found[0, i], found[1, i], found[2, i], found[3, i] = some, terminated, shorter, repeated
        found[4, i], found[5, i] = characters, feeds
    return FinewebCounts(found[0], found[1], found[2], found[3], found[4], found[5])
