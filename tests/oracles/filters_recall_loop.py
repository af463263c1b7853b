"""The rounds of a recall loop in plain Python, from the classifiers that a run trained.

One dictionary of sites a round, every page scored by a sum over its places. No samples: what the next round
learns from is not told here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from corpusmill.filters.kernels.word_weights import places
from corpusmill.filters.rules.word_model import WordModel


@dataclass(frozen=True)
class Page:
    """A page of the pool; `site` is the host that a reader of its address sees."""

    id: str
    text: str
    site: str | None


@dataclass(frozen=True)
class Round:
    """What a round finds: ids, joined sites, hits, and what the round before had not found."""

    found: frozenset[str]
    joined: frozenset[str]
    hits: int
    new: int


def score(model: WordModel, text: str) -> float:
    found = places(np.frombuffer(text.encode(), np.uint8), model.ngrams, model.bits).tolist()
    if not found:
        return 0.0
    total = 0.0
    for place in found:
        total += float(model.weights[place])
    return 1 / (1 + math.exp(-(model.bias + total / len(found))))


def rounds(
    pages: Sequence[Page], models: Sequence[WordModel], hit: float, near: float, share: float, least: int
) -> list[Round]:
    """A round for each classifier."""
    found: list[Round] = []
    for model in models:
        scores = {page.id: score(model, page.text) for page in pages}
        by_site: dict[str, list[float]] = {}
        for page in pages:
            if page.site is not None:
                by_site.setdefault(page.site, []).append(scores[page.id])
        joined = set()
        for site, those in by_site.items():
            hits = sum(one >= hit for one in those)
            if hits >= least and hits >= Fraction(share) * len(those):
                joined.add(site)
        here = {page.id for page in pages if scores[page.id] >= (near if page.site in joined else hit)}
        earlier = found[-1].found if found else frozenset[str]()
        hits = sum(one >= hit for one in scores.values())
        found.append(Round(frozenset(here), frozenset(joined), hits, len(here - earlier)))
    return found
