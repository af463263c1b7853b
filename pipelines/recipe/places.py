"""Input files by their place, a path of this machine or the URL of an object: as paths, and their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.current import object_listed, object_on_disk
from corpusmill.pipelines.storage.objects.store import ObjectInfo
from corpusmill.pipelines.storage.objects.urls import is_url

# What a file was when it was listed: its size, its modification time, and `Reader.state`. Of an object these
# are its size, 0, and its version (see `ObjectInfo`).
Stamp = tuple[int, int, str]


@contextmanager
def on_disk(
    place: str, stamp: Stamp | None = None, *, whole: bool = False, most: int | None = None
) -> Iterator[Path]:
    """The path of a file, within the context; of an object with this stamp, fetched as it is read (see
    `object_on_disk`)."""
    if not is_url(place):
        yield Path(place)
        return
    info = object_listed(place) if stamp is None else ObjectInfo(place, stamp[0], stamp[2])
    with object_on_disk(info, whole=whole, most=most) as path:
        yield path


def stored_bytes(reader: Reader, place: str) -> int:
    """How large a file is (`Reader.stored_bytes`); of an object as it was listed."""
    return object_listed(place).size if is_url(place) else reader.stored_bytes(Path(place))


def content_hash(reader: Reader, place: str) -> str:
    """`Reader.content_hash` of a file; all of an object is fetched."""
    with on_disk(place, whole=True) as path:
        return reader.content_hash(path)
