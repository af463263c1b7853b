"""Which blocks of a page are its content: boosted trees over features of each block, with readable weights.

The trees give each block a probability; then the blocks are chosen whose expected F1 of words is highest. The
weights, `content_model.json`, were learned from pages whose main text people marked;
`python -m corpusmill.pipelines.extraction.learning` learns them again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.pipelines.extraction.features import FEATURES
from corpusmill.pipelines.extraction.kernels.blocks import COUNTED, WORDS, Blocks, blocks_of, counts_of
from corpusmill.pipelines.extraction.kernels.boosted_trees import MOST_LEAVES, Trees, sums_of
from corpusmill.pipelines.extraction.kernels.choice import chosen, in_captions, with_what_belongs
from corpusmill.pipelines.extraction.kernels.likeness import (
    levelled,
    paths_of,
    with_whole_rows,
    without_copies,
)
from corpusmill.pipelines.extraction.kernels.outline import Outline, outline
from corpusmill.pipelines.extraction.kernels.surroundings import RUNNING, Around, around_of, surroundings_of
from corpusmill.pipelines.extraction.kernels.word_weights import WordWeights, weigh_names, word_weights
from corpusmill.pipelines.extraction.pointers import without_pointers

if TYPE_CHECKING:
    import numpy.typing as npt

LINKS = COUNTED.index("links")
WEIGHTS = Path(__file__).with_name("content_model.json")
FORMAT = 1


_SHORT = 200
_TEXT = 0.35  # share of running text in the words of a page that is more than lists, cards and links
_MORE_OF_TEXT, _MORE_OF_LISTS, _MORE_OF_CAPTIONS = -0.4, 0.25, -2.0  # logarithms of odds
_ROWS = 4096  # blocks whose features are held at once


@dataclass(frozen=True)
class Look:
    """A page as the model sees it."""

    markup: npt.NDArray[np.uint8]
    page: Outline
    blocks: Blocks
    counts: npt.NDArray[np.float32]
    """[blocks, len(COUNTED)]"""
    prints: npt.NDArray[np.int64]
    """Hashes of the texts of blocks."""
    path: npt.NDArray[np.int32]
    """Of each block the first one in elements of the same names."""
    around: Around

    @property
    def of_text(self) -> bool:
        """Whether running text is more of the page than it is on pages of lists, cards and links."""
        n = len(self.counts)
        return bool(self.around.sums[n, RUNNING] >= _TEXT * self.around.sums[n, 0])

    def features(self, begin: int, stop: int) -> npt.NDArray[np.float32]:
        """float32[len(FEATURES), stop - begin] of these blocks."""
        table = np.empty((len(FEATURES), stop - begin), np.float32)
        table[: len(COUNTED)] = self.counts[begin:stop].T
        surroundings_of(self.page, self.blocks, self.counts, self.around, begin, stop, table.T, len(COUNTED))
        return table


@dataclass(frozen=True)
class ContentModel:
    """Weights of words in names of elements and in texts, and the trees."""

    names: WordWeights
    words: WordWeights
    trees: Trees

    def look(self, markup: bytes) -> Look:
        """Blocks of markup that a parser has written out (UTF-8), and what features are read from."""
        data = np.frombuffer(markup, np.uint8)
        page = outline(data)
        blocks = blocks_of(data, page)
        counts, prints = counts_of(data, page, blocks, self.words)
        weight, look = weigh_names(data, page.names, self.names)
        around = around_of(page, blocks, counts, weight, look)
        return Look(data, page, blocks, counts, prints, paths_of(page, blocks, look), around)

    def probabilities(self, look: Look) -> npt.NDArray[np.float64]:
        """float64[blocks]: the probability of each to be content. Memory is bounded beside the page's own.

        The logarithm of its odds is halfway between what the trees say and its mean over blocks of a path.
        It is lower then where running text is `_TEXT` of the page, as little beside that text is content, in
        captions of figures above all, and higher elsewhere, as of a list of cards all or nothing is content.
        """
        n = len(look.counts)
        sums = np.zeros(n, np.float64)
        for begin in range(0, n, _ROWS):
            stop = min(n, begin + _ROWS)
            sums[begin:stop] = sums_of(self.trees, look.features(begin, stop))
        odds = levelled(look.counts, look.path, sums) + (_MORE_OF_TEXT if look.of_text else _MORE_OF_LISTS)
        if look.of_text:
            odds += _MORE_OF_CAPTIONS * in_captions(look.page)[look.blocks.element]
        return 1 / (1 + np.exp(-odds))

    def content(self, look: Look, beta: float = 1.0) -> npt.NDArray[np.bool_]:
        """bool[blocks]: the blocks to keep, of the highest expected F-beta of words, without second copies.

        A page of fewer than `_SHORT` words without a link has nothing around its content: all of it is kept.
        """
        if look.counts[:, WORDS].sum() < _SHORT and not look.counts[:, LINKS].any():
            return np.ones(len(look.counts), np.bool_)
        keep = chosen(look.counts, self.probabilities(look), beta)
        keep = with_what_belongs(look.page, look.blocks, look.counts, keep)
        if look.of_text:
            keep = without_pointers(look, keep)
        left = without_copies(look.counts, look.prints, look.path, keep)
        return with_whole_rows(look.page, look.blocks, keep, left)


@cache
def content_model(path: Path = WEIGHTS) -> ContentModel:
    """The model whose weights lie at `path`. Raises ValueError where they are of other features."""
    stored = json.loads(path.read_text("utf-8"))
    return model_of(stored)


def model_of(stored: dict[str, Any]) -> ContentModel:
    """The model of weights as the file holds them. Raises ValueError where they are of other features."""
    if (stored["format"], stored["features"]) != (FORMAT, list(FEATURES)):
        raise ValueError("these weights of the content model are of other features: learn them again")
    return ContentModel(word_weights(stored["names"]), word_weights(stored["words"]), _trees(stored["trees"]))


def _trees(stored: list[dict[str, Any]]) -> Trees:
    """Trees as arrays. In the file a number below 0 is leaf ~number of the tree. Raises ValueError where a
    tree has too many leaves."""
    first = [0]
    features: list[int] = []
    thresholds: list[float] = []
    masks: list[int] = []
    values = np.zeros((len(stored), MOST_LEAVES), np.float32)
    for number, tree in enumerate(stored):
        if len(tree["leaves"]) > MOST_LEAVES:
            raise ValueError(f"a tree of {len(tree['leaves'])} leaves; {MOST_LEAVES} at most can be read")
        leaves: list[int] = []  # from left to right
        below = [0] * len(tree["feature"])  # leaves to the left of what a node parts
        masks_of = [0] * len(below)
        waiting = [(0, False)] if below else [(~0, False)]
        while waiting:
            node, passed = waiting.pop()
            if node < 0:
                leaves.append(~node)
            elif passed:
                masks_of[node] = ~((1 << len(leaves)) - (1 << below[node])) & (1 << MOST_LEAVES) - 1
                waiting.append((tree["high"][node], False))
            else:
                below[node] = len(leaves)
                waiting += ((node, True), (tree["low"][node], False))
        values[number, : len(leaves)] = [tree["leaves"][leaf] for leaf in leaves]
        features += tree["feature"]
        thresholds += tree["threshold"]
        masks += masks_of
        first.append(len(features))
    return Trees(
        np.array(first, np.int64),
        np.array(features, np.uint64),
        np.array(thresholds, np.float32),
        np.array(masks, np.uint32),
        values,
    )
