"""The text that a page states for machines: schema.org's in JSON-LD, and the description in its head."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

_MOST_BYTES = 1 << 20
_MOST_VALUES = 10_000
_DESCRIPTIONS = "meta[name='description'], meta[property='og:description']"
_TAG = re.compile(r"<[^<>]{0,2000}>")
# `text` is what was posted where one of these is the type; elsewhere it may be a menu's.
_POSTED = frozenset(("DiscussionForumPosting", "SocialMediaPosting", "Question", "Answer", "Comment"))


def stated_text(document: Any) -> str:
    """The longest `articleBody` in the page's JSON-LD, or all posts in their order; "" without either.

    `document` is resiliparse's. Scripts over 1 MiB and values beyond the first 10,000 are passed over.
    """
    longest = ""
    posts: list[str] = []
    for script in document.query_selector_all("script[type='application/ld+json']").values():
        text = script.text or ""
        if len(text) > _MOST_BYTES or ("articleBody" not in text and '"text"' not in text):
            continue
        try:
            stated = json.loads(text, strict=False)
        except (ValueError, RecursionError):  # what is no JSON states nothing
            continue
        for kind, body in _bodies(stated):
            if kind == "articleBody":
                longest = max(longest, body, key=len)
            else:
                posts.append(body)
    return max(_plain(longest), "\n\n".join(dict.fromkeys(map(_plain, posts))), key=len)


def stated_description(document: Any) -> str:
    """The longest description in the page's head (`description` and Open Graph's); "" without one."""
    longest = ""
    for meta in document.query_selector_all(_DESCRIPTIONS).values():
        longest = max(longest, str(meta.getattr("content") or ""), key=len)
    return _plain(longest[:_MOST_BYTES])


def _bodies(stated: Any) -> Iterator[tuple[str, str]]:
    """(key, value) of every `articleBody` and posted `text` within a JSON value, in their order."""
    waiting = [stated]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            kinds = value.get("@type")
            posted = not _POSTED.isdisjoint(kinds if isinstance(kinds, list) else [str(kinds)])
            for key in ("articleBody", *(["text"] if posted else [])):
                body = value.get(key)
                if isinstance(body, str):
                    yield key, body
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _plain(body: str) -> str:
    """Paragraphs of a body that may hold tags and entities."""
    lines = html.unescape(_TAG.sub("\n", body)).split("\n")
    return "\n\n".join(" ".join(line.split()) for line in lines if line.strip())
