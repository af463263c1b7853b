"""Pages within a page that a browser shows in it: shadow trees in templates, and frames with their source.

A parser keeps both out of the tree: `<template shadowrootmode=open>` as a fragment of its own (HTML Living
Standard 4.12.3, declarative shadow roots), `<iframe srcdoc="...">` as an attribute. They become `div`s.

A frame that is never closed would hold the rest of the page as its raw text. A browser passes over one in
`noscript`, so such a fault goes unnoticed; here it is closed at once.
"""

from __future__ import annotations

import html
import re
from itertools import islice

import numpy as np

from corpusmill.pipelines.extraction.kernels.page_bytes import inner_pages

_TEMPLATE = re.compile(r"<template\b([^<>]{0,400})>|</template\s*>", re.IGNORECASE)
_SHADOW = re.compile(r"\bshadowroot(?:mode)?\s*=", re.IGNORECASE)
_FRAME = re.compile(r"<iframe\b([^<>\"']|\"[^\"]*+\"|'[^']*+')*+>", re.IGNORECASE)
_SOURCE = re.compile(r"\ssrcdoc\s*=\s*(?:\"([^\"]*+)\"|'([^']*+)')", re.IGNORECASE)
_BODY = re.compile(r"</?(?:html|head|body)\b[^<>]{0,400}>|<!doctype[^<>]{0,400}>", re.IGNORECASE)
_OPENED_OR_CLOSED = re.compile(
    r"<(?:([iI][fF][rR][aA][mM][eE]\b(?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+>)|/[iI][fF][rR][aA][mM][eE]\b|/[nN][oO][sS][cC][rR])"
)
_MOST_FRAMES = 32  # looked at; each may be as long as the page


def with_inner_pages(page: str, markup: bytes) -> str:
    """`page`, markup, with its shadow trees and the pages in frames in their places, and all frames closed.

    `markup` is the same in an encoding that holds ASCII as it is. The result is `page` itself where nothing
    is to be done. Time is linear.
    """
    inner = inner_pages(np.frombuffer(markup, np.uint8))
    if inner.shadow and "shadowroot" in page:
        page = _with_shadow_trees(page)
    if inner.opened and inner.source and "srcdoc" in page:
        page = _with_frames(page)
    return _with_closed_frames(page) if inner.opened > inner.closed or inner.capital else page


def _with_shadow_trees(page: str) -> str:
    parts: list[str] = []
    open_shadows: list[bool] = []
    at = 0
    for tag in _TEMPLATE.finditer(page):
        if tag[1] is not None:
            open_shadows.append(_SHADOW.search(tag[1]) is not None)
            shadow, made = open_shadows[-1], "<div>"
        elif open_shadows:
            shadow, made = open_shadows.pop(), "</div>"
        else:
            continue
        if shadow:
            parts += (page[at : tag.start()], made)
            at = tag.end()
    return "".join((*parts, page[at:]))


def _with_frames(page: str) -> str:
    parts: list[str] = []
    at = 0
    for frame in islice(_FRAME.finditer(page), _MOST_FRAMES):
        source = _SOURCE.search(frame[0])
        if source is None:
            continue
        inner = _BODY.sub("", html.unescape(source[1] or source[2] or ""))
        parts += (page[at : frame.start()], f"<div>{inner}</div>", frame[0])
        at = frame.end()
    return "".join((*parts, page[at:]))


def _with_closed_frames(page: str) -> str:
    parts: list[str] = []
    at, end, opened = 0, 0, False
    for tag in _OPENED_OR_CLOSED.finditer(page):
        if opened and (tag[1] is not None or tag[0][2] in "nN"):
            parts += (page[at:end], "</iframe>")
            at = end
        opened = tag[1] is not None
        end = tag.end()
    if opened:
        parts += (page[at:end], "</iframe>")
        at = end
    return "".join((*parts, page[at:]))
