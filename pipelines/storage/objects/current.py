"""What this process may reach, as the recipe in hand says; its stores, its cache and its counts.

As with plugins, the recipe that was loaded last is the one in hand, and a worker takes over the settings that
its task names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.globs import Matched, match_objects
from corpusmill.pipelines.storage.objects.lazy import ObjectPath
from corpusmill.pipelines.storage.objects.requests import Requests
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.store import ObjectInfo, ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl, parse_url

REQUESTS = Requests()  # of this process

_settings: ObjectStorage | None = None
_stores: dict[str, ObjectStore] = {}
_listed: dict[str, ObjectInfo] = {}  # by URL, as they were last listed


def use_storage(settings: ObjectStorage | None) -> None:
    """Let this process reach what these settings name, and nothing else; None: nothing at all."""
    global _settings
    if settings != _settings:
        _settings = settings
        _stores.clear()
        _listed.clear()


def storage_in_use() -> dict[str, Any]:
    """The settings as JSON, for workers; empty where nothing may be reached."""
    return {} if _settings is None else _settings.model_dump(mode="json")


def settings_in_use() -> ObjectStorage:
    """The settings. Raises RecipeError where nothing may be reached."""
    if _settings is None:
        raise RecipeError("the recipe allows nothing remote; add `storage: {schemes: [s3]}` to it")
    return _settings


def use_storage_again(settings: Mapping[str, Any]) -> None:
    """Take over what `storage_in_use` gave in another process."""
    use_storage(ObjectStorage.model_validate(settings) if settings else None)


def scheme_problem(url: str, settings: ObjectStorage | None) -> str | None:
    """Why a URL of a recipe may not be reached with its settings; None where it may."""
    try:
        place = parse_url(url)
    except RecipeError as error:
        return str(error)
    if settings is None:
        cure = f"add `storage: {{schemes: [{place.scheme}]}}`"
        return f"{place} is remote, and the recipe allows nothing remote; {cure}"
    if place.scheme not in settings.schemes:
        allowed = ", ".join([*settings.schemes, place.scheme])
        return f"{place}: {place.scheme} is not among `storage.schemes`; write `schemes: [{allowed}]`"
    return None


def store_of(place: ObjectUrl) -> ObjectStore:
    """The store of an object's bucket. Raises RecipeError where the recipe does not allow it."""
    problem = scheme_problem(str(place), _settings)
    if problem is not None or _settings is None:
        raise RecipeError(problem or "")
    if place.root not in _stores:
        _stores[place.root] = ObjectStore(place, _settings, REQUESTS)
    return _stores[place.root]


def matched_objects(pattern: str) -> Matched:
    """The objects that a pattern matches now (see `match_objects`)."""
    place = parse_url(pattern)
    matched = match_objects(store_of(place), place)
    _listed.update({info.url: info for info in matched.objects.values()})
    return matched


def object_now(url: str) -> ObjectInfo:
    """An object as it is now: one request. Raises ObjectError."""
    place = parse_url(url)
    return store_of(place).head(place.key)


def object_listed(url: str) -> ObjectInfo:
    """An object as this process last listed it; as it is now where it did not."""
    if url not in _listed:
        _listed[url] = object_now(url)
    return _listed[url]


@contextmanager
def object_on_disk(
    info: ObjectInfo, *, whole: bool = False, most: int | None = None, footer: bytes = b""
) -> Iterator[Path]:
    """An object as a path of this machine (see `ObjectPath`), within the context. `whole`: fetch it all now;
    `footer`: what is known of its end.

    Raises ObjectError, and UserError where it does not fit into the cache. Where bytes could not be fetched,
    leaving the context raises that, whatever a reader made of the error.
    """
    place = parse_url(info.url)
    store = store_of(place)
    settings = settings_in_use()
    cache = ObjectCache(settings.cache_folder, settings.cache_bytes)
    with cache.lease(info, lambda start, end: store.get_range(place.key, start, end, info)) as blocks:
        if whole:
            blocks.fill_all()
        try:
            yield ObjectPath.of(blocks, most, footer)
        except Exception as error:
            if blocks.failure is not None and error is not blocks.failure:
                raise blocks.failure from error
            raise
        if blocks.failure is not None:
            raise blocks.failure
