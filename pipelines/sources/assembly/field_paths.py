"""Values inside of records by their path: `metadata.content`, `messages.0.content`.

The rule, at every level: a field of the very name wins, dots and all; else the shortest beginning of the
name, up to a dot, that is a field from which the rest leads to a value. In lists a whole number is a place,
-1 the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PLACE = re.compile(r"-?[0-9]{1,9}\Z")


def at_path(holder: Any, name: str) -> Any:
    """The value of the path `name` in a mapping or list; None where there is none."""
    if isinstance(holder, dict):
        if name in holder:
            return holder[name]
        for outer, inner in cuts(name):
            if outer in holder and (value := at_path(holder[outer], inner)) is not None:
                return value
    elif isinstance(holder, list):
        place, _, inner = name.partition(".")
        if _PLACE.match(place) and -len(holder) <= int(place) < len(holder):
            item = holder[int(place)]
            return at_path(item, inner) if inner else item
    return None


def take_path(record: dict[str, Any], name: str) -> Any:
    """Take the value of the path `name` out of a record, and None where there is none.

    Mappings and lists on the way are copied. A mapping that is left empty goes too; in a list the place of
    what was taken stays, as null.
    """
    if name in record:
        return record.pop(name)
    for outer, inner in cuts(name):
        if outer in record and at_path(record[outer], inner) is not None:
            rest, value = _without(record[outer], inner)
            if rest is None:
                del record[outer]
            else:
                record[outer] = rest
            return value
    return None


def _without(holder: Any, name: str) -> tuple[Any, Any]:
    """A copy of a holder without what is at `name` in it, None for one that is empty then, and the value."""
    if isinstance(holder, dict):
        rest = dict(holder)
        value = take_path(rest, name)
        return rest or None, value
    items = list(holder)
    place, _, inner = name.partition(".")
    if inner:
        items[int(place)], value = _without(items[int(place)], inner)
    else:
        value, items[int(place)] = items[int(place)], None
    return items if any(item is not None for item in items) else None, value


def cuts(name: str) -> Iterator[tuple[str, str]]:
    """`a.b.c` as (a, b.c) and (a.b, c)."""
    at = name.find(".")
    while at >= 0:
        yield name[:at], name[at + 1 :]
        at = name.find(".", at + 1)
