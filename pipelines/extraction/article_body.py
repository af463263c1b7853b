"""The text of an article that a page states for machines (schema.org, JSON-LD)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

_MOST_BYTES = 1 << 20
_MOST_VALUES = 10_000
_TAG = re.compile(r"<[^<>]{0,2000}>")


def article_body(document: Any) -> str:
    """The longest `articleBody` in the page's JSON-LD; "" where there is none that can be read.

    `document` is resiliparse's. Scripts over 1 MiB and values beyond the first 10,000 are passed over.
    """
    longest = ""
    for script in document.query_selector_all("script[type='application/ld+json']").values():
        text = script.text or ""
        if "articleBody" not in text or len(text) > _MOST_BYTES:
            continue
        try:
            held = json.loads(text, strict=False)
        except (ValueError, RecursionError):  # what is no JSON states nothing
            continue
        for body in _bodies(held):
            if len(body) > len(longest):
                longest = body
    return _plain(longest)


def _bodies(held: Any) -> Iterator[str]:
    """Every `articleBody` within a JSON value."""
    waiting = [held]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            body = value.get("articleBody")
            if isinstance(body, str):
                yield body
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _plain(body: str) -> str:
    """Paragraphs of a body that may hold tags and entities."""
    lines = html.unescape(_TAG.sub("\n", body)).split("\n")
    return "\n\n".join(" ".join(line.split()) for line in lines if line.strip())
