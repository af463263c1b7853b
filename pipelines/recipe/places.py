"""Input files by their place, a path of this machine or the URL of an object: as paths, and their sizes.

A place is text. A path that is not UTF-8 has `bytes:` before it and its odd bytes as %FF; such a file
is counted by its size and not read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.current import object_listed, object_on_disk
from corpusmill.pipelines.storage.objects.store import PART_BYTES, ObjectInfo
from corpusmill.pipelines.storage.objects.urls import WEB, is_url, parse_url

# What a file was when it was listed: its size, its modification time, and `Reader.state`. Of an object these
# are its size, 0, and its version (see `ObjectInfo`).
Stamp = tuple[int, int, str]
_BYTES = "bytes:"
SMALL_BYTES = 4 * 2**20


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
    place: str,
    stamp: Stamp | None = None,
    *,
    whole: bool = False,
    most: int | None = None,
    footer: bytes = b"",
) -> Iterator[Path]:
    """The path of a file, within the context; of an object with this stamp, fetched as it is read (see
    `object_on_disk`)."""
    if not is_url(place):
        yield local(place)
        return
    with object_on_disk(_info(place, stamp), whole=whole, most=most, footer=footer) as path:
        yield path


def is_small(place: str, stamp: Stamp | None) -> bool:
    """Whether a place is an object of at most `SMALL_BYTES`: it is fetched by one request rather than in
    growing ranges."""
    return is_url(place) and _info(place, stamp).size <= SMALL_BYTES


def read_by_footer(reader: Reader, place: str, stamp: Stamp | None) -> bool:
    """Whether ranges are fetched of an object that a footer tells (`Reader.footer`)."""
    return reader.indexes_parts and is_url(place) and not is_small(place, stamp)


def stored_bytes(reader: Reader, place: str) -> int:
    """How large a file is (`Reader.stored_bytes`); of an object as it was listed."""
    return object_listed(place).size if is_url(place) else reader.stored_bytes(local(place))


def told_by_version(reader: Reader, place: str, stamp: Stamp | None = None) -> str | None:
    """What stands for the bytes of an object of which a reader indexes parts alone: the SHA-256 of its size
    and ETag, 64 hex digits. None of all others, and of objects that one request fetches: their bytes are
    hashed.

    The ETag of a page tells versions of its URL apart and nothing more (RFC 9110, section 8.8.3); some
    servers make it of size and time. So its URL counts too.
    """
    if not reader.indexes_parts or not is_url(place):
        return None
    info = _info(place, stamp)
    if info.etag is None or info.size <= PART_BYTES:
        return None
    page = f"\n{place}" if parse_url(place).scheme in WEB else ""
    return hashlib.sha256(f"{info.size}\n{info.etag}{page}".encode()).hexdigest()


def content_hash(reader: Reader, place: str) -> str:
    """What an index says of a file's content: `told_by_version`, else `Reader.content_hash`, for which all of
    an object is fetched."""
    version = told_by_version(reader, place)
    if version is not None:
        return version
    with on_disk(place, whole=True) as path:
        return reader.content_hash(path)


def _info(url: str, stamp: Stamp | None) -> ObjectInfo:
    return object_listed(url) if stamp is None else ObjectInfo(url, stamp[0], stamp[2])
