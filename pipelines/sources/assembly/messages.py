"""Lists of chat messages as one text, by a template for a message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]|[^{}]+")


class NoMessagesError(ValueError):
    """A value that no text can be made of by the template."""


@dataclass(frozen=True)
class MessageTemplate:
    """`form` stands for one message, `{role}` in it for the message's field `role`, `{{` and `}}` for braces;
    `between` stands between two messages."""

    form: str
    between: str

    @cached_property
    def _parts(self) -> tuple[list[tuple[str, bool]], frozenset[str]]:
        """Pieces of the form, each with whether it is a field's name; and the names."""
        parts: list[tuple[str, bool]] = []
        for found in _PART.finditer(self.form):
            piece = found[0]
            if piece in ("{", "}"):
                raise ValueError(
                    f"template: a lone `{piece}` at character {found.start() + 1}; write it twice"
                )
            if found[1] is not None:
                parts.append((found[1], True))
            else:
                parts.append((piece[0] if piece in ("{{", "}}") else piece, False))
        names = frozenset(text for text, is_name in parts if is_name)
        if not names:
            raise ValueError(
                "template: it names no field of a message; write one such as `{role}: {content}`"
            )
        return parts, names

    def check(self) -> None:
        """Raise ValueError where the form cannot be read."""
        self._parts  # noqa: B018

    def join(self, value: Any) -> tuple[str, list[dict[str, Any]] | None]:
        """The text of a list of messages, and what the messages hold besides: None for nothing.

        A mapping of lists of one length, as older data sets have it, is such a list too. Null in a field
        stands for no text; content of several parts is the texts of its parts. Raises NoMessagesError for
        anything else.
        """
        if isinstance(value, dict):
            value = _rows(value)
        if not isinstance(value, list):
            raise NoMessagesError("no list of messages")
        parts, names = self._parts
        texts: list[str] = []
        rests: list[dict[str, Any]] = []
        for number, message in enumerate(value):
            if not isinstance(message, dict):
                raise NoMessagesError(f"message {number} is no mapping")
            contents = {name: _content(message, name, number) for name in names}
            texts.append("".join(contents[text] if is_name else text for text, is_name in parts))
            rests.append(
                {key: item for key, item in message.items() if key not in names and item is not None}
            )
        return self.between.join(texts), rests if any(rests) else None


def _rows(columns: dict[str, Any]) -> Any:
    lists = list(columns.values())
    if not lists or not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _content(message: dict[str, Any], name: str, number: int) -> str:
    if name not in message:
        raise NoMessagesError(f"message {number} has no field {name!r}")
    value = message[name]
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts: list[str] = []
        for place, part in enumerate(value):
            text = part.get("text") if isinstance(part, dict) else part
            if not isinstance(text, str):
                raise NoMessagesError(f"part {place} of {name!r} in message {number} is no text")
            texts.append(text)
        return "".join(texts)
    raise NoMessagesError(f"{name!r} of message {number} is no text")
