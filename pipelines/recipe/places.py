"""Input files by their place, a path of this machine or the URL of an object: as paths, and their sizes.

A place is text. A path that is not UTF-8 has `bytes:` before it and its odd bytes as %FF; such a file
is counted by its size and not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.current import object_listed, object_on_disk
from corpusmill.pipelines.storage.objects.store import ObjectInfo
from corpusmill.pipelines.storage.objects.urls import is_url

# What a file was when it was listed: its size, its modification time, and `Reader.state`. Of an object these
# are its size, 0, and its version (see `ObjectInfo`).
Stamp = tuple[int, int, str]
_BYTES = "bytes:"


def place_of(path: Path) -> str:
    """The place of a file of this machine."""
    return str(path) if is_text(str(path)) else _BYTES + quote_from_bytes(os.fsencode(path))


def local(place: str) -> Path:
    """The path of a file of this machine."""
    if not place.startswith(_BYTES):
        return Path(place)
    return Path(os.fsdecode(unquote_to_bytes(place.removeprefix(_BYTES))))


def name_fault(place: str) -> str | None:
    """Why a file cannot be read that has no name in UTF-8; None for all others."""
    return "its name is not UTF-8; rename the file" if place.startswith(_BYTES) else None


def is_text(name: str) -> bool:
    """Whether a name, as Python has it, is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(name: str) -> str:
    """A name with bytes that are not UTF-8 as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def on_disk(
    place: str, stamp: Stamp | None = None, *, whole: bool = False, most: int | None = None
) -> Iterator[Path]:
    """The path of a file, within the context; of an object with this stamp, fetched as it is read (see
    `object_on_disk`)."""
    if not is_url(place):
        yield local(place)
        return
    info = object_listed(place) if stamp is None else ObjectInfo(place, stamp[0], stamp[2])
    with object_on_disk(info, whole=whole, most=most) as path:
        yield path


def stored_bytes(reader: Reader, place: str) -> int:
    """How large a file is (`Reader.stored_bytes`); of an object as it was listed."""
    return object_listed(place).size if is_url(place) else reader.stored_bytes(local(place))


def content_hash(reader: Reader, place: str) -> str:
    """`Reader.content_hash` of a file; all of an object is fetched."""
    with on_disk(place, whole=True) as path:
        return reader.content_hash(path)
