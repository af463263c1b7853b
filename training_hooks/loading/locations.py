"""Shards by path or URL: those on object storage are read as they are needed.

Of a remote shard the end is fetched when it is opened, with its metadata and where its record batches lie,
and a record batch (up to 8 MiB of tokens) when a sample first falls in it. They are kept in the cache of
objects (`storage.objects`), shared by the processes of a machine, and mapped into memory from there, so that
a row is read as one of a local shard is. All shards of a training have to fit into the cache, which keeps
them while the process lives. Nothing remote is touched unless `storage` settings allow its scheme.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.blocks import BLOCK_BYTES, Blocks
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.current import object_now, settings_in_use, store_of
from corpusmill.pipelines.storage.objects.store import ObjectInfo
from corpusmill.pipelines.storage.objects.urls import is_url, local_pattern, parse_url
from corpusmill.pipelines.storage.remote.partly import PartlyFetched
from corpusmill.tokenizer.shards.reader import Shard, open_shard

Location = str | os.PathLike[str]
"""The path of a shard, or the URL of one on object storage."""

_AT_ONCE = 8  # shards whose ends are fetched at a time

_held = ExitStack()  # leases of the cache, which end with the process
_opened: dict[tuple[Path, ObjectInfo], Blocks] = {}
_urls: dict[Path, str] = {}  # of files in the cache


def is_remote(location: Location) -> bool:
    """Whether a location is a URL of object storage."""
    return isinstance(location, str) and is_url(local_pattern(location))


def open_shards(locations: Sequence[Location]) -> list[Shard]:
    """The shards, in order.

    Raises as `open_shard`; RecipeError where a URL may not be reached, ObjectError where it cannot be had,
    and UserError where all remote shards together do not fit into the cache.
    """
    remote = [str(location) for location in locations if is_remote(location)]
    shards: dict[str, Shard] = {}
    if remote:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            infos = list(threads.map(object_now, remote))
            _refuse_what_does_not_fit(infos)
            blocks = [_blocks(info) for info in infos]
            shards = dict(zip(remote, threads.map(_open_remote, remote, blocks), strict=True))
    return [
        shards[str(location)] if is_remote(location) else open_shard(local_pattern(os.fspath(location)))
        for location in locations
    ]


def with_urls(message: str) -> str:
    """A message with URLs in place of the paths of objects in the cache."""
    for path, url in _urls.items():
        message = message.replace(str(path), url)
    return message


def _refuse_what_does_not_fit(infos: Sequence[ObjectInfo]) -> None:
    settings = settings_in_use()
    size = sum(info.size for info in set(infos))
    if size > settings.cache_bytes:
        raise UserError(
            f"{infos[0].url} and {len(set(infos)) - 1} more shards take {size:,} bytes, and the cache "
            f"{settings.cache_folder} may hold {settings.cache_bytes:,}; raise `cache_bytes`"
        )


def _blocks(info: ObjectInfo) -> Blocks:
    """What the cache has of an object, which stays there while the process lives."""
    settings = settings_in_use()
    key = settings.cache_folder, info
    if key not in _opened:
        place = parse_url(info.url)
        store = store_of(place)
        cache = ObjectCache(settings.cache_folder, settings.cache_bytes)
        _opened[key] = _held.enter_context(
            cache.lease(info, lambda start, end: store.get_range(place.key, start, end, info))
        )
        _urls[_opened[key].file] = info.url
    return _opened[key]


def _open_remote(url: str, blocks: Blocks) -> Shard:
    """A shard whose record batches are fetched when they are first read."""
    there = _Filler(url, blocks)
    with blocks.open() as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def read(start: int, end: int) -> bytes:
        there(start, end)
        return mapped[start:end]

    there(0, BLOCK_BYTES)
    end = PartlyFetched(blocks.size, read, lambda: None)
    try:
        ranges = end.blocks
    except ValueError:
        ranges = []  # no shard: opening it raises the error
    return Shard(blocks.file, pa.py_buffer(mapped), lambda index: there(*ranges[index]))


class _Filler:
    """Has bytes of an object in the cache. Raises UserError in a process that was forked from the one that
    opened it: threads of the library that fetches do not come along."""

    def __init__(self, url: str, blocks: Blocks) -> None:
        self._url, self._blocks, self._process = url, blocks, os.getpid()

    def __call__(self, start: int, end: int) -> None:
        if os.getpid() != self._process:
            raise UserError(
                f"{self._url} was opened before this worker was forked, and cannot be fetched here: give the "
                "DataLoader multiprocessing_context='spawn', as ShardDataLoader does by itself"
            )
        last = -(-min(end, self._blocks.size) // BLOCK_BYTES)
        self._blocks.fill(range(start // BLOCK_BYTES, last))
