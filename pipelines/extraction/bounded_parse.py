"""Markup to a tree, within bounds: what would make the parser or a walk run away is told before."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.extraction.faults import PageFault
from corpusmill.pipelines.extraction.kernels.bounds import depth_exceeds, plain_names, screen, signs

# Beyond so many formatting elements opened again (and a quarter of the tags), or so many options, those
# elements are renamed before parsing: the parser's time grows with the square of them.
_REOPENED, _OPTIONS = 64, 512


def bounded_parse(
    text: str, markup: bytes, groups: tuple[tuple[str, ...], ...], max_depth: int, max_attributes: int
) -> tuple[Any, int]:
    """(resiliparse's tree of the page, mask of the `groups` of signs that its tags hold; see `bounds.signs`).

    `markup` is the page's bytes in an encoding that holds ASCII as it is, `text` what they say. Raises
    PageFault: `too_many_attributes`, `too_deep`, `parse_error`.
    """
    from resiliparse.parse.html import HTMLParserException, HTMLTree

    depth, attributes, seen, runs_away = _screened(markup, groups, max_depth)
    if attributes > max_attributes:
        raise PageFault("too_many_attributes", f"a tag with {attributes}, max_attributes is {max_attributes}")
    if runs_away:
        text = plain_names(text)
        depth, _, seen, _ = _screened(text.encode(), groups, max_depth)
    try:
        tree: Any = HTMLTree.parse(text)
    except HTMLParserException as error:
        raise PageFault("parse_error", str(error)) from error
    if tree.document is None:
        raise PageFault("parse_error", "no document")
    # The screen leans high: the tree decides.
    if depth > max_depth and depth_exceeds(tree.document, max_depth):
        raise PageFault("too_deep", f"elements nested beyond max_depth {max_depth}")
    return tree, seen


def _screened(
    markup: bytes, groups: tuple[tuple[str, ...], ...], max_depth: int
) -> tuple[int, int, int, bool]:
    """(depth, attributes, seen, whether it would run away)."""
    depth, attributes, seen, tags, reopened, options = screen(
        np.frombuffer(markup, np.uint8), max_depth, *signs(groups), np.zeros(0, np.uint8)
    )
    runs_away = depth > max_depth or reopened > _REOPENED + tags // 4 or options > _OPTIONS
    return depth, attributes, seen, runs_away
