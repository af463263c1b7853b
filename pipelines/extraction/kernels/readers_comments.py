"""Blocks that readers wrote below a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import LINK_SHARE, WORDS, Blocks
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.text.compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST_LINKS = np.float32(0.5)  # share of characters; above, a block is a button or a list of links


@compiled
def in_comments(
    page: Outline, blocks: Blocks, counts: npt.NDArray[np.float32], named: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """bool[blocks]: blocks of three words and more inside of elements whose names say comments.

    `named` float32[elements] is above 0 for these.
    """
    within = np.zeros(len(page.tag), np.bool_)
    for e in range(1, len(within)):
        within[e] = within[page.parent[e]] or named[e] > 0
    found = np.zeros(len(counts), np.bool_)
    for b in range(len(counts)):
        few_links = counts[b, LINK_SHARE] < _MOST_LINKS
        found[b] = within[blocks.element[b]] and counts[b, WORDS] >= 3 and few_links
    return found
