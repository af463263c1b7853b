"""Parts of a page that are like others: blocks in elements of one path, and passages that stand there twice.

Posts, cards, rows and paragraphs of one text stand in elements of the same names, one like another; they are
content together or not at all. A passage that comes again in other elements is a copy: for narrow and wide
screens, in previews, in tabs, in posts that quote earlier ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import WORDS, Blocks, equal_keys
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.tags import NUMBERS
from corpusmill.pipelines.text.compiled import compiled, integer

if TYPE_CHECKING:
    import numpy.typing as npt

_OF_THE_PATH = 0.5  # share of a block's value that is the mean of its path
_A_PASSAGE = 20  # words
_TABLE, _CELL, _HEAD = (NUMBERS[name] for name in ("table", "td", "th"))


@compiled
def paths_of(
    page: Outline, blocks: Blocks, look: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """int32[blocks]: the first block whose elements, from the root on, have the same names and looks.

    `look` is of elements (`weigh_names`).
    """
    paths = np.zeros(len(look), np.int64)
    for e in range(1, len(look)):
        kind = integer(page.tag[e])
        own = (look[e] * 0x20761D6478BD642F) ^ (kind * 0x67037ED1A0B428DB)
        paths[e] = (paths[page.parent[e]] * 0x56E8FEB86659FD93 + 1) ^ own
    return equal_keys(paths[blocks.element])[2]


@compiled
def levelled(
    counts: npt.NDArray[np.float32], path: npt.NDArray[np.int32], value: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    """The values of blocks, each drawn halfway to the mean of the blocks of its `path`, by their words."""
    n = len(value)
    words, sums = np.zeros(n, np.float64), np.zeros(n, np.float64)
    for b in range(n):
        weight = counts[b, WORDS] + 0.5
        words[path[b]] += weight
        sums[path[b]] += weight * value[b]
    made = np.empty(n, np.float64)
    for b in range(n):
        made[b] = (1 - _OF_THE_PATH) * value[b] + _OF_THE_PATH * sums[path[b]] / words[path[b]]
    return made


@compiled
def without_copies(
    counts: npt.NDArray[np.float32],
    prints: npt.NDArray[np.int64],
    path: npt.NDArray[np.int32],
    keep: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """`keep` without passages of `_A_PASSAGE` words and more that stand before in other elements, kept there.

    `prints` are hashes of the texts of blocks. A passage is a run of blocks that an earlier run repeats, and
    that one ends before it begins. Items of a list that say the same have one path, and stay. Time is linear.
    """
    n = len(keep)
    first = equal_keys(prints)[2]
    source = np.full(n, -1, np.int32)
    expected = 0  # the block behind the last source
    for b in range(n):
        if 0 < expected < b and prints[expected] == prints[b]:
            source[b] = expected
        elif first[b] < b:
            source[b] = first[b]
        expected = source[b] + 1
    made = keep.copy()
    begin = 0
    while begin < n:
        end = begin + 1
        words = counts[begin, WORDS]
        while end < n and source[begin] >= 0 and source[end] == source[end - 1] + 1 and source[end] < begin:
            words += counts[end, WORDS]
            end += 1
        if source[begin] >= 0 and words >= _A_PASSAGE:
            for b in range(begin, end):
                if keep[source[b]] and path[b] != path[source[b]]:
                    made[b] = False
        begin = end
    return made


@compiled
def with_whole_rows(
    page: Outline, blocks: Blocks, keep: npt.NDArray[np.bool_], left: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """`left` without holes in tables: where something of a table is left, its cells that copies emptied stay.

    `keep` is what was kept before copies were removed; a table all of whose cells are copies is one itself.
    """
    elements = len(page.tag)
    cell, table = np.zeros(elements, np.int32), np.zeros(elements, np.int32)
    for e in range(1, elements):
        kind = page.tag[e]
        cell[e] = 0 if kind == _TABLE else e if kind in (_CELL, _HEAD) else cell[page.parent[e]]
        table[e] = e if kind == _TABLE else table[page.parent[e]]
    stays = np.zeros(elements, np.bool_)
    for b in range(len(left)):
        if left[b]:
            stays[cell[blocks.element[b]]] = stays[table[blocks.element[b]]] = True
    made = left.copy()
    for b in range(len(left)):
        e = blocks.element[b]
        made[b] |= keep[b] and cell[e] > 0 and table[e] > 0 and not stays[cell[e]] and stays[table[e]]
    return made
