"""Words that tell content from the rest, learned from marked pages: of class and id names, and of texts."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from corpusmill.pipelines.extraction.learning.marked_pages import Marked

_NAME_WORD = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+")
_TEXT_WORD = re.compile(r"[a-z0-9]+")
_PRIOR = 4  # pages that a word is taken to be on beside those it is on, of mean share
NAMES_KEPT, NAME_SITES = 600, 8
WORDS_KEPT, WORD_SITES = 800, 12


def name_weights(pages: Sequence[Marked]) -> dict[str, float]:
    """Weights of the words in the class and id of elements, by the content that stands inside of these."""
    return _weights(pages, _names_around, lambda words: math.sqrt(words), NAMES_KEPT, NAME_SITES)


def text_weights(pages: Sequence[Marked]) -> dict[str, float]:
    """Weights of the words of texts, by the share of the blocks that hold one which is content."""
    return _weights(pages, _words_in, lambda words: 1.0, WORDS_KEPT, WORD_SITES)


def _weights(
    pages: Sequence[Marked],
    words_of_blocks: Callable[[Marked], list[set[str]]],
    worth: Callable[[float], float],
    kept: int,
    sites: int,
) -> dict[str, float]:
    """Log odds of content against the mean, each page having one vote, in alphabetic order.

    Words of fewer than `sites` sites and all but the `kept` strongest are left out.
    """
    share: defaultdict[str, float] = defaultdict(float)
    seen: Counter[str] = Counter()
    on: defaultdict[str, set[str]] = defaultdict(set)
    for marked in pages:
        of_page: defaultdict[str, float] = defaultdict(float)
        content: defaultdict[str, float] = defaultdict(float)
        for block, words in enumerate(words_of_blocks(marked)):
            vote = worth(float(marked.words[block]))
            for word in words:
                of_page[word] += vote
                content[word] += vote * marked.share[block]
        for word, votes in of_page.items():
            if votes:
                seen[word] += 1
                share[word] += content[word] / votes
                on[word].add(marked.page.site)
    mean = sum(share.values()) / max(1, sum(seen.values()))
    found = {
        word: _odds((share[word] + _PRIOR * mean) / (seen[word] + _PRIOR)) - _odds(mean)
        for word in seen
        if len(on[word]) >= sites
    }
    strongest = sorted(found, key=lambda word: (-abs(found[word]) * math.log1p(seen[word]), word))[:kept]
    return {word: round(found[word], 3) for word in sorted(strongest)}


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


def _words_in(marked: Marked) -> list[Any]:
    return [set(_TEXT_WORD.findall(text.lower())) for text in marked.texts]
