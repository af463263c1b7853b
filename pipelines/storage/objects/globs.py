"""Which objects a pattern stands for, by listing no more than the folder before its first wildcard."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.storage.objects.store import ObjectInfo, ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl

_WILD = set("*?[")


@dataclass(frozen=True)
class Matched:
    """The objects of a pattern by name, which is their key from the pattern's fixed folder on, as it would be
    of files."""

    folder: str  # the fixed part, without a slash at its end
    objects: dict[str, ObjectInfo]


def match_objects(store: ObjectStore, pattern: ObjectUrl) -> Matched:
    """The objects that a pattern matches, sorted by name. `*`, `?` and `[...]` match within a part of a key,
    `**` any number of whole parts.

    A key without wildcards is one request that lists nothing. Raises ObjectError; NoObjectError where there
    is nothing of the kind.
    """
    parts = pattern.key.split("/")
    if not _WILD & set(pattern.key):
        return Matched("/".join(parts[:-1]), {parts[-1]: _named(store, pattern)})
    if store.web:
        raise NoObjectError(f"{pattern}: web servers list no files; name each by its URL, in a list")
    fixed = next(at for at, part in enumerate(parts) if _WILD & set(part))
    folder = "/".join(parts[:fixed])
    flat = fixed == len(parts) - 1 and parts[fixed] != "**"
    listed = store.list_folder(folder) if flat else store.list_below(folder)
    wanted = _Parts(parts[fixed:])
    cut = len(store.root) + 1 + (len(folder) + 1 if folder else 0)
    named = {info.url[cut:]: info for info in listed}
    objects = {name: info for name, info in named.items() if wanted.match(name)}
    if not objects:
        raise NoObjectError(f"{pattern}: {_nothing(f'{store.root}/{folder}'.rstrip('/'), list(named))}")
    return Matched(folder, dict(sorted(objects.items())))


def _named(store: ObjectStore, pattern: ObjectUrl) -> ObjectInfo:
    if pattern.key.endswith("/"):
        raise NoObjectError(f"{pattern} is a folder; name the objects in it, such as {pattern}*")
    try:
        return store.head(pattern.key)
    except NoObjectError as error:
        if not store.web and store.list_folder(pattern.key):
            raise NoObjectError(
                f"{pattern} is a folder; name the objects in it, such as {pattern}/*"
            ) from error
        raise


class _Parts:
    """Parts of a pattern; time to match a name is linear in its parts, whatever `**` there are."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]

    def match(self, name: str) -> bool:
        standing = self._with_skipped({0})
        for part in name.split("/"):
            after = set()
            for at in standing - {len(self._parts)}:
                wanted = self._parts[at]
                if wanted is None:
                    after.add(at)
                elif wanted.fullmatch(part):
                    after.add(at + 1)
            standing = self._with_skipped(after)
        return len(self._parts) in standing

    def _with_skipped(self, standing: set[int]) -> set[int]:
        """`standing`, and what follows where `**` stands for no part."""
        found = set(standing)
        for at in sorted(standing):
            while at < len(self._parts) and self._parts[at] is None:
                at += 1
                found.add(at)
        return found


def _nothing(place: str, names: list[str]) -> str:
    if not names:
        return f"nothing lies in {place}; correct the pattern, or make the objects first"
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"nothing matches; {place} holds {shown}; correct the pattern"
