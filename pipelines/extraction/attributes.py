"""Attributes of elements, read from markup that a parser has written out."""

from __future__ import annotations

import re

# Written-out markup has one form: ` name="value"`, with `"` in values as an entity ("serialising HTML
# fragments", HTML Living Standard 13.3). The name of an element holds neither.
_ATTRIBUTE = re.compile(rb' ([^=" >][^=">]*)="([^"]*)"')
_NAME = re.compile(rb"[^ >]*")


def attributes(markup: bytes, opening: int) -> dict[str, str]:
    """The attributes of the element whose name begins at `opening` (`Outline.opening`), by name.

    Bytes that are no UTF-8 become U+FFFD. Time is linear in the tag's length.
    """
    found: dict[str, str] = {}
    name = _NAME.match(markup, opening)
    at = name.end() if name is not None else opening
    while (attribute := _ATTRIBUTE.match(markup, at)) is not None:
        found[attribute[1].decode("utf-8", "replace")] = unescaped(attribute[2].decode("utf-8", "replace"))
        at = attribute.end()
    return found


def unescaped(text: str) -> str:
    """Text or an attribute's value without the entities that the parser writes."""
    if "&" not in text:
        return text
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


# `&amp;` last: what it gives may look like another.
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&nbsp;", "\u00a0"), ("&amp;", "&"))
