"""What stands around each block of a page: ancestors, neighbours, containers and the page as a whole.

With `blocks.counts_of` these are the features of the content model; `features.py` names their columns.
Containers of a block are the elements around it that hold more text than the one before. Every sum over a
container is a difference of prefix sums, so time is linear in elements and blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import (
    COMMAS,
    LAST_SIGN,
    LINK_SHARE,
    SENTENCE_ENDS,
    WORD_WEIGHT,
    WORDS,
    Blocks,
    equal_keys,
)
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.tags import NAMES, NUMBERS
from corpusmill.pipelines.text.compiled import compiled, inlined, integer

if TYPE_CHECKING:
    import numpy.typing as npt

# Ancestors that are told apart; "h2" stands for h2 to h6.
_ANCESTORS = (
    "nav header footer aside main article form table ul ol dl section figure blockquote noscript details "
    "dialog li td button label p pre h1 h2"
)
ANCESTORS = tuple(_ANCESTORS.split())
_AS = {"th": "td", "dt": "dl", "dd": "dl", **{f"h{level}": "h2" for level in range(3, 7)}}
_ANCESTOR = np.array(
    [ANCESTORS.index(_AS.get(name, name)) if _AS.get(name, name) in ANCESTORS else -1 for name in NAMES],
    np.int32,
)
_P, _ARTICLE, _MAIN = (NUMBERS[name] for name in ("p", "article", "main"))
_H1 = ANCESTORS.index("h1")
MARKS = 5  # bits of `Outline.marks` that are features
NEAR = (-3, -2, -1, 1, 2, 3)
WINDOWS = (4, 12)
CONTAINERS = 5
_A_PARAGRAPH = 10  # words of a block that counts as running text
_RUNNING = np.float32(0.4)  # its greatest share of links
RUNNING = 2  # column of `Around.sums`


class Around(NamedTuple):
    """Facts of a page's elements and blocks from which the features of any block are read at once."""

    sums: npt.NDArray[np.float64]
    """[blocks + 1, 4]: before each block words, words in links, words of running text, ends of sentences."""
    alike: npt.NDArray[np.int32]
    """Of each element: how many children of its parent have its name and look, itself among them."""
    place: npt.NDArray[np.int32]
    """How many of them stand before it."""
    larger: npt.NDArray[np.int32]
    """The innermost element around it that holds more words."""
    weight: npt.NDArray[np.float32]
    """What its own names weigh."""
    bits: npt.NDArray[np.int64]
    """Its `ANCESTORS`, bit by bit, and from bit 32 on the marks of any element around it."""
    weights: npt.NDArray[np.float32]
    """[elements, 5]: of names around it and its own the sum, least, greatest, nearest, and fading sum."""
    numbers: npt.NDArray[np.int32]
    """[elements, 4]: number of the `article` it is in, levels below the candidate, most elements alike of one
    around it, that one's depth."""
    whole: npt.NDArray[np.int64]
    """The candidate's first block and the one after its last, first block in an `h1` (-1: none), numbers of
    `article` and `main` elements."""


@compiled
def _sums(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    n = len(counts)
    sums = np.zeros((n + 1, 4), np.float64)
    for b in range(n):
        words = counts[b, WORDS]
        running = words >= _A_PARAGRAPH and counts[b, LINK_SHARE] < _RUNNING
        sums[b + 1, 0] = sums[b, 0] + words
        sums[b + 1, 1] = sums[b, 1] + words * counts[b, LINK_SHARE]
        sums[b + 1, 2] = sums[b, 2] + (words if running else 0)
        sums[b + 1, 3] = sums[b, 3] + words * counts[b, SENTENCE_ENDS]
    return sums


@compiled
def _candidate(
    page: Outline, blocks: Blocks, counts: npt.NDArray[np.float32], sums: npt.NDArray[np.float64]
) -> int:  # pragma: no cover - compiled
    """The element that running text speaks for most, 0 if there is none.

    After Arc90's Readability: a paragraph speaks for its parent, and half as much for the parent of that;
    links speak against.
    """
    score = np.zeros(len(page.tag), np.float64)
    for b in range(len(counts)):
        words = counts[b, WORDS]
        if words >= 8 and counts[b, LINK_SHARE] < _RUNNING:
            e = blocks.element[b]
            if page.tag[e] == _P:
                e = page.parent[e]
            worth = 1 + min(words / 15, 4.0) + 0.3 * counts[b, COMMAS] * words
            score[e] += worth
            score[page.parent[e]] += worth / 2
    best, most = 0, 0.0
    for e in range(1, len(score)):
        if score[e] > most:
            a, z = blocks.first_of[page.first_text[e]], blocks.first_of[page.end_text[e]]
            words = sums[z, 0] - sums[a, 0]
            if words > 0:
                found = score[e] * (1 - (sums[z, 1] - sums[a, 1]) / words)
                if found > most:
                    best, most = e, found
    return best


@compiled
def _descend(
    page: Outline, weight: npt.NDArray[np.float32], alike: npt.NDArray[np.int32], candidate: int
) -> tuple[
    npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int32]
]:  # pragma: no cover - compiled
    """`bits`, `weights` and `numbers` of `Around`: what each element has from those around it."""
    m = len(page.tag)
    bits = np.zeros(m, np.int64)
    weights = np.zeros((m, 5), np.float32)
    numbers = np.zeros((m, 4), np.int32)
    articles = 0
    for e in range(1, m):
        p = page.parent[e]
        ancestor = _ANCESTOR[page.tag[e]]
        bits[e] = bits[p] | (np.int64(page.marks[e]) << 32) | ((1 << ancestor) if ancestor >= 0 else 0)
        weights[e, 0] = weights[p, 0] + weight[e]
        weights[e, 1], weights[e, 2] = min(weights[p, 1], weight[e]), max(weights[p, 2], weight[e])
        weights[e, 3] = weight[e] if weight[e] != 0 else weights[p, 3]
        weights[e, 4] = np.float32(0.6) * weights[p, 4] + weight[e]
        numbers[e, 0] = numbers[p, 0]
        if page.tag[e] == _ARTICLE:
            articles += 1
            numbers[e, 0] = articles
        numbers[e, 1] = 1 if e == candidate else (numbers[p, 1] + 1 if numbers[p, 1] > 0 else 0)
        numbers[e, 2], numbers[e, 3] = numbers[p, 2], numbers[p, 3]
        if alike[e] > numbers[p, 2]:
            numbers[e, 2], numbers[e, 3] = alike[e], page.depth[e]
    return bits, weights, numbers


@compiled
def _alike(
    page: Outline, look: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:  # pragma: no cover - compiled
    """`alike` and `place` of `Around`."""
    keys = np.zeros(len(look), np.int64)
    for e in range(len(look)):
        parent, kind = integer(page.parent[e]), integer(page.tag[e])
        keys[e] = (parent * 0x56E8FEB86659FD93) ^ (look[e] * 0x20761D6478BD642F) ^ (kind * 0x67037ED1A0B428DB)
    count, position, _ = equal_keys(keys)
    return count, position


@compiled
def around_of(
    page: Outline,
    blocks: Blocks,
    counts: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    look: npt.NDArray[np.int64],
) -> Around:  # pragma: no cover - compiled
    """What features of every block are read from; `weight` and `look` are of elements (`weigh_names`)."""
    sums = _sums(counts)
    alike, place = _alike(page, look)
    candidate = _candidate(page, blocks, counts, sums)
    bits, weights, numbers = _descend(page, weight, alike, candidate)
    whole = np.zeros(5, np.int64)
    whole[0] = blocks.first_of[page.first_text[candidate]]
    whole[1] = blocks.first_of[page.end_text[candidate]]
    whole[2] = -1
    for b in range(len(counts) - 1, -1, -1):
        if (bits[blocks.element[b]] >> _H1) & 1:
            whole[2] = b
    for e in range(len(page.tag)):
        whole[3] += page.tag[e] == _ARTICLE
        whole[4] += page.tag[e] == _MAIN
    return Around(sums, alike, place, larger_of(page, blocks, sums), weight, bits, weights, numbers, whole)


@compiled
def surroundings_of(
    page: Outline,
    blocks: Blocks,
    counts: npt.NDArray[np.float32],
    around: Around,
    begin: int,
    stop: int,
    table: npt.NDArray[np.float32],
    column: int,
) -> None:  # pragma: no cover - compiled
    """Write what stands around blocks `begin` to `stop` to `table` float32[stop - begin, ...].

    From `column` on, in the order of `features.SURROUNDINGS`. Where a neighbour is not there, -1.
    """
    n = len(counts)
    sums, numbers = around.sums, around.numbers
    words, running = max(sums[n, 0], 1.0), max(sums[n, 2], 1.0)
    first, end, heading = around.whole[0], around.whole[1], around.whole[2]
    for b in range(begin, stop):
        row = table[b - begin]
        e = blocks.element[b]
        c = column
        for k in range(len(ANCESTORS)):
            row[c + k] = (around.bits[e] >> k) & 1
        c += len(ANCESTORS)
        for k in range(MARKS):
            row[c + k] = (around.bits[e] >> (32 + k)) & 1
        c += MARKS
        for k in range(5):
            row[c + k] = around.weights[e, k]
        c += 5
        row[c], row[c + 1], row[c + 2], row[c + 3] = (
            page.tag[e] == _P,
            page.depth[e],
            numbers[e, 0],
            numbers[e, 1],
        )
        row[c + 4], row[c + 5], row[c + 6] = b - first, b - end, first <= b < end
        row[c + 7], row[c + 8], row[c + 9] = around.alike[e], around.place[e], numbers[e, 2]
        row[c + 10] = page.depth[e] - numbers[e, 3]
        row[c + 11], row[c + 12] = b, b / np.float32(n)
        row[c + 13], row[c + 14] = sums[b, 0] / words, sums[b, 2] / running
        row[c + 15], row[c + 16] = sums[b, 0], words - sums[b + 1, 0]
        row[c + 17] = b - heading if heading >= 0 else -1000
        c = _neighbours(row, c + 18, b, page, blocks, counts, around.weights)
        for reach in WINDOWS:
            c = _within(row, c, max(0, b - reach), min(n, b + reach + 1), sums)
        c = _containers(row, c, b, page, blocks, around)
        row[c], row[c + 1], row[c + 2], row[c + 3] = words, n, sums[n, 1] / words, sums[n, 2] / words
        row[c + 4], row[c + 5], row[c + 6] = sums[n, 3] / words, around.whole[3], around.whole[4]
        row[c + 7] = (sums[end, 2] - sums[first, 2]) / running
        row[c + 8], row[c + 9] = (sums[end, 0] - sums[first, 0]) / words, heading >= 0


@inlined
def _neighbours(
    row: npt.NDArray[np.float32],
    c: int,
    b: int,
    page: Outline,
    blocks: Blocks,
    counts: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
) -> int:  # pragma: no cover - compiled
    e = blocks.element[b]
    for away in NEAR:
        j = b + away
        there = 0 <= j < len(counts)
        row[c] = counts[j, WORDS] if there else -1
        row[c + 1] = counts[j, LINK_SHARE] if there else -1
        c += 2
        if -2 <= away <= 2:
            other = blocks.element[j] if there else 0
            row[c] = page.tag[other] == _P if there else -1
            row[c + 1] = weights[other, 4]
            row[c + 2] = (
                (1 if other == e else 2 if page.parent[other] == page.parent[e] else 0) if there else -1
            )
            row[c + 3] = counts[j, WORD_WEIGHT] if there else 0
            row[c + 4] = counts[j, LAST_SIGN] if there else -1
            c += 5
    return c


@inlined
def _within(
    row: npt.NDArray[np.float32], c: int, a: int, z: int, sums: npt.NDArray[np.float64]
) -> int:  # pragma: no cover - compiled
    """Of blocks a to z: words a block, shares of words in links and of running text."""
    words = max(sums[z, 0] - sums[a, 0], 1.0)
    row[c], row[c + 1] = words / (z - a), (sums[z, 1] - sums[a, 1]) / words
    row[c + 2] = (sums[z, 2] - sums[a, 2]) / words
    return c + 3


@inlined
def _containers(
    row: npt.NDArray[np.float32], c: int, b: int, page: Outline, blocks: Blocks, around: Around
) -> int:  # pragma: no cover - compiled
    sums = around.sums
    words = max(sums[len(sums) - 1, 0], 1.0)
    x = blocks.element[b]
    for _ in range(CONTAINERS):
        a, z = blocks.first_of[page.first_text[x]], blocks.first_of[page.end_text[x]]
        words_inside = sums[z, 0] - sums[a, 0]
        some = max(words_inside, 1.0)
        row[c], row[c + 1], row[c + 2] = words_inside, words_inside / words, (sums[z, 1] - sums[a, 1]) / some
        row[c + 3], row[c + 4] = (sums[z, 2] - sums[a, 2]) / some, (sums[z, 3] - sums[a, 3]) / some
        row[c + 5], row[c + 6] = z - a, (b - a) / np.float32(max(z - a, 1))
        row[c + 7], row[c + 8], row[c + 9] = around.alike[x], around.place[x], around.weight[x]
        row[c + 10] = page.depth[blocks.element[b]] - page.depth[x]
        c += 11
        x = around.larger[x]
    return c


@compiled
def larger_of(
    page: Outline, blocks: Blocks, sums: npt.NDArray[np.float64]
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """Of each element the innermost one around it that holds more words; 0, the document, if none does."""
    larger = np.zeros(len(page.tag), np.int32)
    words_inside = np.zeros(len(page.tag), np.float64)
    words_inside[0] = sums[len(sums) - 1, 0]
    for e in range(1, len(larger)):
        words_inside[e] = (
            sums[blocks.first_of[page.end_text[e]], 0] - sums[blocks.first_of[page.first_text[e]], 0]
        )
        p = page.parent[e]
        larger[e] = p if words_inside[p] > words_inside[e] + 0.5 else larger[p]
    return larger
