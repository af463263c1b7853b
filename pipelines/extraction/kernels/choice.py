"""The choice of a page's blocks, once each has a probability to be content, and what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import LINK_SHARE, WORDS, Blocks
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.tags import NUMBERS
from corpusmill.pipelines.text.compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

_STEPS = 1000
_LEAST = 100  # of a threshold: on a page of links, many small probabilities would outweigh a few sentences
_ODDS, _WEIGHTS = (1 / 9, 1.0, 9.0), (0.3, 0.4, 0.3)
_FIGURE, _TABLE, _QUOTATION, _CAPTION = (
    NUMBERS[name] for name in ("figure", "table", "blockquote", "figcaption")
)
_MOST_LINKS = np.float32(0.3)  # share of characters


@compiled
def chosen(
    counts: npt.NDArray[np.float32], probability: npt.NDArray[np.float64], beta: float
) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """Blocks whose choice has the highest expected F-beta of words, if `probability` tells which are content.

    That is all blocks above a threshold, which depends on the page (Lewis 1995, "Evaluating and optimizing
    autonomous text classification systems"): (1 + beta^2) sum(p w) / (sum of chosen w + beta^2 sum of all
    p w). Below 1, `beta` weighs precision more. Thresholds are thousandths, and 0.1 at least where any block
    reaches that. The blocks of a page are wrong together, all too high or all too low: F is the mean over
    three cases, in which the odds of all blocks are a ninth of what they are, as they are, and nine times it.
    """
    n = len(counts)
    taken, found = np.zeros(_STEPS + 1, np.float64), np.zeros((_STEPS + 1, len(_ODDS)), np.float64)
    expected, all_found = np.zeros(len(_ODDS), np.float64), np.zeros(len(_ODDS), np.float64)
    for b in range(n):
        p = probability[b]
        step = int(p * _STEPS + 0.5)
        taken[step] += counts[b, WORDS]
        for case in range(len(_ODDS)):
            expected_words = counts[b, WORDS] * p * _ODDS[case] / (1 - p + p * _ODDS[case])
            found[step, case] += expected_words
            expected[case] += beta * beta * expected_words
    all_taken = best = 0.0
    threshold = _STEPS + 1
    for step in range(_STEPS, -1, -1):
        if step < _LEAST <= threshold <= _STEPS:
            break
        all_taken += taken[step]
        value = 0.0
        for case in range(len(_ODDS)):
            all_found[case] += found[step, case]
            value += _WEIGHTS[case] * all_found[case] / (all_taken + expected[case] + 1e-9)
        if value > best:
            best, threshold = value, step
    keep = np.zeros(n, np.bool_)
    for b in range(n):
        keep[b] = int(probability[b] * _STEPS + 0.5) >= threshold
    return keep


@compiled
def in_captions(page: Outline) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """bool[elements]: captions of figures (`figcaption`), and elements inside of them."""
    found = np.zeros(len(page.tag), np.bool_)
    for e in range(1, len(found)):
        found[e] = found[page.parent[e]] or page.tag[e] == _CAPTION
    return found


@compiled
def with_what_belongs(
    page: Outline, blocks: Blocks, counts: npt.NDArray[np.float32], keep: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """`keep`, and what stands within the kept text without being a sentence of it.

    Code beside a kept block; and tables, quotations and figures, but for their captions, that stand between
    two kept blocks. The model has met few of these, and a text with a hole is worse than a table too many.
    """
    n = len(keep)
    made = keep.copy()
    within, captions = np.zeros(len(page.tag), np.bool_), in_captions(page)
    for e in range(1, len(within)):
        kind = page.tag[e]
        within[e] = within[page.parent[e]] or kind in (_FIGURE, _TABLE, _QUOTATION)
    b = 0
    while b < n:
        end = b
        fits = True
        while end < n and not keep[end]:
            e = blocks.element[end]
            belongs = page.in_code[blocks.first_text[end]] or (within[e] and not captions[e])
            fits = fits and belongs and counts[end, LINK_SHARE] < _MOST_LINKS
            end += 1
        if fits and b > 0 and end < n:
            for k in range(b, end):
                made[k] = True
        b = max(end, b + 1)
    for b in range(n):
        beside = (b > 0 and keep[b - 1]) or (b + 1 < n and keep[b + 1])
        if beside and page.in_code[blocks.first_text[b]]:
            made[b] = True
    return made
