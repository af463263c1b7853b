"""Words that tell content from the rest, learned from marked pages: of class and id names, and of texts."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.learning.marked_pages import Marked

if TYPE_CHECKING:
    import numpy.typing as npt

_NAME_WORD = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+")
_TEXT_WORD = re.compile(r"[a-z0-9]+")
_PRIOR = 4  # pages that a word is taken to be on beside those it is on, of mean share
NAMES_KEPT, NAME_SITES = 600, 8
WORDS_KEPT, WORD_SITES = 800, 12


def name_weights(pages: Sequence[Marked]) -> dict[str, float]:
    """Weights of the words in the class and id of elements, by the content that stands inside of these."""
    return _weights(pages, _names, NAMES_KEPT, NAME_SITES)


def text_weights(pages: Sequence[Marked]) -> dict[str, float]:
    """Weights of the words of texts, by the share of the blocks that hold one which is content."""
    return _weights(pages, _words, WORDS_KEPT, WORD_SITES)


def _weights(
    pages: Sequence[Marked], shares_of: Callable[[Marked], dict[str, float]], kept: int, sites: int
) -> dict[str, float]:
    """Log odds of content against the mean, each page having one vote, in alphabetic order.

    Words of fewer than `sites` sites and all but the `kept` strongest are left out.
    """
    share: defaultdict[str, float] = defaultdict(float)
    seen: Counter[str] = Counter()
    on: defaultdict[str, set[str]] = defaultdict(set)
    for marked in pages:
        for word, of_page in shares_of(marked).items():
            seen[word] += 1
            share[word] += of_page
            on[word].add(marked.page.site)
    mean = sum(share.values()) / max(1, sum(seen.values()))
    found = {
        word: _odds((share[word] + _PRIOR * mean) / (seen[word] + _PRIOR)) - _odds(mean)
        for word in seen
        if len(on[word]) >= sites
    }
    strongest = sorted(found, key=lambda word: (-abs(found[word]) * math.log1p(seen[word]), word))[:kept]
    return {word: round(found[word], 3) for word in sorted(strongest)}


# Counted once a page, though the weights of every fold are learned from them.
@cache
def _names(marked: Marked) -> dict[str, float]:
    return _shares(marked, _names_around(marked), np.sqrt(marked.words))


@cache
def _words(marked: Marked) -> dict[str, float]:
    words = [set(_TEXT_WORD.findall(text.lower())) for text in marked.texts]
    return _shares(marked, words, np.ones(len(words)))


def _shares(
    marked: Marked, words_of_blocks: list[set[str]], votes: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Of each word the share of content among the blocks it belongs to, which have these votes."""
    of_page: defaultdict[str, float] = defaultdict(float)
    content: defaultdict[str, float] = defaultdict(float)
    shares = marked.share.tolist()
    for words, vote, share in zip(words_of_blocks, votes.tolist(), shares, strict=True):
        for word in words:
            of_page[word] += vote
            content[word] += vote * share
    return {word: content[word] / vote for word, vote in of_page.items() if vote}


def _odds(share: float) -> float:
    return math.log(share / (1 - share))


def _names_around(marked: Marked) -> list[set[str]]:
    page, markup = marked.look.page, marked.look.markup.tobytes()
    around: list[set[str]] = [set()]
    for e in range(1, len(page.tag)):
        own: set[str] = set()
        for begin, end in (page.names[e, :2], page.names[e, 2:]):
            own.update(word.lower().decode() for word in _NAME_WORD.findall(markup[begin:end]))
        above = around[page.parent[e]]
        around.append(above | own if own else above)
    return [around[e] for e in marked.look.blocks.element]
