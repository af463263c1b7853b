"""Objects that options of a recipe name: files of this machine, whole, for as long as the process lives.

An option that is a path may be a URL. What it names is fetched into the cache when the recipe is read, and
the option is the path of that file: its folder stands for one version of the object, and nothing removes it
while the process lives. A task for another machine names these files by URL and version (`named_in`), and
that machine has files of its own for them (`at_hand`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.current import object_now, settings_in_use, store_of
from corpusmill.pipelines.storage.objects.store import ObjectInfo
from corpusmill.pipelines.storage.objects.urls import parse_url

SHARE = 4  # of the cache is for such files at most: so that others find room

Named = Mapping[str, tuple[str, int, str]]
"""URL, size and version of objects, by the paths of their files on the driver's machine."""

_files: dict[ObjectInfo, Path] = {}
_objects: dict[str, ObjectInfo] = {}  # by the path of the file
_held = ExitStack()  # leases of the cache, which end with the process


def file_of(url: str) -> Path:
    """The file that has the bytes of an object as it is now, under the object's name.

    Raises ObjectError where there is none or it cannot be had, UserError where it is too large for the cache.
    """
    return _file(object_now(url))


def named_in(options: Iterable[Any]) -> Named:
    """The objects whose files stand in options of stages, as JSON."""
    found = {path: _objects[path] for path in _texts(list(options)) if path in _objects} if _objects else {}
    return {path: (info.url, info.size, info.version) for path, info in found.items()}


def at_hand(options: Any, named: Named) -> Any:
    """Options as JSON with this machine's files of these objects, fetched where they are not there.

    Raises ChangedObjectError where an object is another by now.
    """
    here = {path: str(_file(ObjectInfo(*about))) for path, about in named.items()}
    return _replaced(options, here)


def _file(info: ObjectInfo) -> Path:
    settings = settings_in_use()
    path = _files.get(info)
    if path is None or not path.is_relative_to(settings.cache_folder):
        place = parse_url(info.url)
        held = sum(one.size for one, path in _files.items() if path.is_relative_to(settings.cache_folder))
        if (held + info.size) * SHARE > settings.cache_bytes:
            raise UserError(
                f"{info.url}: the objects that options name take {held + info.size:,} bytes, more than a "
                f"{SHARE}th of the cache; raise `storage.cache_bytes`, which is {settings.cache_bytes:,}"
            )
        store = store_of(place)
        cache = ObjectCache(settings.cache_folder, settings.cache_bytes)
        blocks = _held.enter_context(
            cache.lease(info, lambda start, end: store.get_range(place.key, start, end, info))
        )
        blocks.fill_all()
        path = _files[info] = blocks.file
        _objects[str(path)] = info
    return path


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _replaced(value: Any, by: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return by.get(value, value)
    if isinstance(value, Mapping):
        return {key: _replaced(item, by) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(item, by) for item in value]
    return value
