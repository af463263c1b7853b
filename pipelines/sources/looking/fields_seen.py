"""The fields of a record: what they hold, in words, and which of them is likely the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.pipelines.sources.looking.field_kinds import is_no_text, nested

# Names that data sets give to the field of the text, likeliest first.
LIKELY = (
    "text", "content", "body", "raw_content", "page_content", "document", "article", "passage", "code",
    "markdown", "plain_text", "abstract", "story", "completion", "output",
)  # fmt: skip
_MOST_NAMES, _LONGEST_NAME = 12, 40


def shown(name: str) -> str:
    """A field's name, which came with the data, as it may stand in a message."""
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


def kind(value: Any) -> str:
    """What a field holds, in words; nothing of its content."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return f"text of {len(value):,} characters"
    if isinstance(value, list):
        inner = kind(value[0]) if value else "nothing"
        return f"a list of {len(value):,}, the first {inner}"
    names = ", ".join(shown(str(name)) for name in list(value)[:4])
    return f"a mapping with {names}" if names else "an empty mapping"


def fields(record: Mapping[str, Any]) -> str:
    """Every field of a record with what it holds."""
    named = [f"{shown(name)} ({kind(value)})" for name, value in list(record.items())[:_MOST_NAMES]]
    more = f" and {len(record) - _MOST_NAMES} more" if len(record) > _MOST_NAMES else ""
    return (", ".join(named) or "no fields") + more


def likely_text(record: Mapping[str, Any]) -> str | None:
    """The field, dotted where nested, that most likely is the text: by its name, else by its length.

    Addresses, dates, paths, ids and the like are none.
    """
    found = _texts(record)
    return text_by_name(record) or (max(found, key=lambda field: field[1])[0] if found else None)


def text_by_name(record: Mapping[str, Any], names: Sequence[str] = LIKELY) -> str | None:
    """The field of text, dotted where nested, that has the first of these names; None without one."""
    found = _texts(record)
    for wanted in names:
        for name, _ in found:
            if name.rsplit(".", 1)[-1].lower() == wanted:
                return name
    return None


def _texts(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Fields that may be the text, with their lengths in characters."""
    return [
        (name, len(value))
        for name, value in nested(record)
        if isinstance(value, str) and value and not is_no_text(name.rsplit(".", 1)[-1], value)
    ]


def _form(message: Mapping[str, Any], content: str) -> str | None:
    """The template for messages such as this one; None where it is none."""
    role = next((name for name in ("role", "from") if isinstance(message.get(name), str)), None)
    if role is None:
        return None
    text = next(
        (name for name in ("content", "value", "text") if isinstance(message.get(name), str)), content
    )
    return f"{{{role}}}: {{{shown(text)}}}"


def cure(record: Mapping[str, Any], text_field: str) -> str:
    """What to do about a record whose `text_field` is no text."""
    value = record.get(text_field)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return f"join the texts of `{shown(text_field)}` into one for each record"
    for name, listed in record.items():
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            inner = likely_text(listed[0])
            if inner is not None and likely_text(record) is None:
                form = _form(listed[0], inner)
                if form is not None:
                    return f'write `text_field: {shown(name)}` and `template: "{form}"`'
                return f"write the records in `{shown(name)}` out as text, one text for each record"
    likely = likely_text(record)
    if likely is None:
        return "name the field of the text with `text_field`"
    return f"write `text_field: {shown(likely)}` if that is the text"
