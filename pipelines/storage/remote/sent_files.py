"""The files of units of a run on object storage: sent under keys that name their content, fetched and
compared.

Memory: `MEMORY_BYTES` for what is under way.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.file_faults import fault_of
from corpusmill.pipelines.storage.objects.current import store_of
from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.storage.objects.store import SENT_BYTES, ObjectInfo, ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl
from corpusmill.pipelines.storage.remote.ends import End, bundled, unbundled
from corpusmill.pipelines.storage.remote.partly import END_BYTES, PartlyFetched
from corpusmill.pipelines.storage.remote.room import Room
from corpusmill.pipelines.system.faultpoints import faultpoint

T = TypeVar("T")

WHOLE_BYTES = SENT_BYTES  # of a file that is fetched whole, by one request
MOST_ENDS = 1024  # files of a step whose ends are put into one object: 64 MiB
AT_ONCE = 4  # files sent or fetched, or parts of one file
MEMORY_BYTES = 2 * SENT_BYTES  # of their content in a process at a time


class UnderWay:
    """Bytes that may be under way in a process; those for whom there is no room wait."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Take so much of it, all of it at most, within the context."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


_UNDER_WAY = UnderWay(MEMORY_BYTES)


class SentFiles:
    """The files of the run at `place`, which appear below `mirror`. Steps are given by their folder in the
    mirror, `<mirror>/steps/<step>/<version>`.
    """

    def __init__(self, place: ObjectUrl, mirror: Path) -> None:
        self._place, self.mirror = place, mirror
        self.room = Room(mirror)

    @property
    def url(self) -> str:
        return str(self._place)

    @property
    def _store(self) -> ObjectStore:
        return store_of(self._place)

    def _key(self, *parts: str) -> str:
        return "/".join((self._place.key, *parts))

    def _data_key(self, step: Path, entry: FileEntry) -> str:
        _, dot, suffix = entry.name.rsplit("/", 1)[-1].partition(".")
        return self._key("data", step.parent.name, f"{entry.sha256[:32]}{dot}{suffix}")

    def send(self, step: Path, folder: Path, files: Sequence[FileEntry]) -> None:
        """Write files of an attempt, which lie below `folder`, under the keys that name their content; equal
        ones once."""

        def sent(key: str) -> None:
            with _UNDER_WAY.taking(named[key].bytes):
                self._store.upload(key, folder / named[key].name)
            faultpoint("object-sent")

        named = {self._data_key(step, file): file for file in files}
        each(sent, named, AT_ONCE)
        self.room.grown(sum(file.bytes for file in files))

    def have(self, step: Path, entry: FileEntry, at_once: int = AT_ONCE) -> Path:
        """The path of a committed file, which is fetched, so many parts at a time, where it is not there or
        of another size."""
        path = step / "data" / entry.name
        if self.room.pin(path, entry.bytes):
            return path
        with self.room.fetching(path):
            if not self.room.pin(path, entry.bytes):
                self._fetch(step, entry, path, at_once)
        return path

    def partly(self, step: Path, entry: FileEntry) -> PartlyFetched | None:
        """A committed file of batches of which what is read is fetched; None of one that is there or small,
        which `have` has whole."""
        if entry.bytes <= WHOLE_BYTES or self.room.pin(step / "data" / entry.name, entry.bytes):
            return None
        folder = step / "parts" / entry.sha256[:32]
        return PartlyFetched(
            entry.bytes, partial(self._range, step, entry, folder), partial(_remove_files, folder)
        )

    def _range(self, step: Path, entry: FileEntry, folder: Path, start: int, end: int) -> bytes:
        """A range of a file, kept in the mirror for those who ask for the same one."""
        path = folder / f"{start}-{end}"
        kept = self._kept(path, end - start)
        if kept is None and end == entry.bytes:
            self._have_ends(step)
            kept = self._kept(path, end - start)
        if kept is not None:
            return kept
        key = self._data_key(step, entry)
        with self.room.fetching(path):
            kept = self._kept(path, end - start)
            if kept is not None:
                return kept
            self.room.grown(end - start)
            cuts = (*range(start, end, SENT_BYTES), end)
            try:
                found = b"".join(self._part(key, *cut, entry.bytes) for cut in pairwise(cuts))
            except NoObjectError as error:
                raise damaged(f"{self._object(key)}: missing, or of another size") from error
            self._write(path, found)
        return found

    def put_ends(self, step: Path, entries: Iterable[FileEntry]) -> None:
        """Put the ends of a step's files of batches into one object, of those that are read by ranges, for
        machines that read some of many: without it each of them asks for the end of each."""
        large = {entry.sha256: entry for entry in entries if entry.batches and entry.bytes > WHOLE_BYTES}
        found: dict[End, bytes] = {}

        def take(entry: FileEntry) -> None:
            path, start = step / "data" / entry.name, max(0, entry.bytes - END_BYTES)
            if self.room.pin(path, entry.bytes):
                with path.open("rb") as file:
                    file.seek(start)
                    end = file.read()
            else:
                key = self._data_key(step, entry)
                try:
                    end = self._store.get_named(key, start, entry.bytes, entry.bytes)
                except NoObjectError as error:
                    raise damaged(f"{self._object(key)}: missing, or of another size") from error
            found[entry.sha256[:32], start, entry.bytes] = end

        if 2 <= len(large) <= MOST_ENDS:
            each(take, large.values(), AT_ONCE)
            self._store.put(self._key("ends", step.parent.name, step.name), bundled(found))

    def _have_ends(self, step: Path) -> None:
        """Have what `put_ends` put among the ranges that the mirror keeps: once, of a complete step."""
        marker = step / ".ends"
        if marker.exists() or not (step / "manifest.json").exists():
            return
        with self.room.fetching(marker):
            if marker.exists():
                return
            try:
                ends = list(unbundled(self._store.get(self._key("ends", step.parent.name, step.name))))
            except (NoObjectError, ValueError):  # each end is asked for when it is needed
                ends = []
            for (digits, start, stop), content in ends:
                self.room.grown(len(content))
                self._write(step / "parts" / digits / f"{start}-{stop}", content)
            marker.touch()

    def _kept(self, path: Path, size: int) -> bytes | None:
        """A range that the mirror has; None where it has not, or another reader forgets it just now."""
        if not self.room.pin(path, size):
            return None
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def have_all(self, step: Path, entries: Iterable[FileEntry]) -> None:
        """Have these files there."""
        each(lambda entry: self.have(step, entry, 1), entries, AT_ONCE)

    def fetch_again(self, step: Path, entry: FileEntry) -> Path:
        """Fetch a file anew whose copy here is damaged."""
        path = step / "data" / entry.name
        with self.room.fetching(path):
            self._fetch(step, entry, path, AT_ONCE)
        return path

    def stored(self, step: Path) -> dict[str, ObjectInfo]:
        """The objects that hold files of a step, in any of its versions, by their URLs: a listing. Memory
        grows with their number."""
        return {info.url: info for info in self._store.list_below(self._key("data", step.parent.name))}

    def missing(self, step: Path, stored: Mapping[str, ObjectInfo], entry: FileEntry) -> str | None:
        """What is wrong with the object of a committed file, of those that are `stored`; None where it is
        there with the file's size."""
        url = self._object(self._data_key(step, entry))
        info = stored.get(url)
        return None if info and info.size == entry.bytes else f"{url}: missing, or of another size"

    def unlike(self, step: Path, stored: Mapping[str, ObjectInfo], entry: FileEntry) -> str | None:
        """What is wrong with the object of a committed file, of those that are `stored`; None where it is
        there with the file's bytes.

        Where the mirror has these, an ETag that is their MD5 proves the object; where it is not, as stores
        may have others, the object is fetched and compared. What the mirror lacks is fetched and hashed piece
        by piece.
        """
        if fault := self.missing(step, stored, entry):
            return fault
        key, path = self._data_key(step, entry), step / "data" / entry.name
        try:
            if not self.room.pin(path, entry.bytes):
                self._hash(key, entry)
            elif not is_etag_of(stored[self._object(key)].version, path) or fault_of(path, entry):
                self.fetch_again(step, entry)
        except IntegrityError as error:
            return error.fault
        return None

    def _hash(self, key: str, entry: FileEntry) -> None:
        """Fetch an object and leave nothing of it. Raises IntegrityError where it is another than written."""
        found = hashlib.sha256()
        try:
            for start in range(0, entry.bytes, SENT_BYTES):
                end = min(start + SENT_BYTES, entry.bytes)
                with _UNDER_WAY.taking(end - start):
                    found.update(self._store.get_named(key, start, end, entry.bytes))
        except NoObjectError as error:
            raise damaged(f"{self._object(key)}: missing, or of another size") from error
        if not entry.is_of(found.hexdigest()):
            raise damaged(f"{self._object(key)}: its bytes differ from the manifest")

    def _part(self, key: str, start: int, end: int, size: int) -> bytes:
        with _UNDER_WAY.taking(end - start):
            return self._store.get_named(key, start, end, size)

    def _fetch(self, step: Path, entry: FileEntry, path: Path, at_once: int) -> None:
        key = self._data_key(step, entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.room.grown(entry.bytes)
        handle, name = tempfile.mkstemp(dir=self.room.making)
        temporary, found = Path(name), hashlib.sha256()
        at_once = min(at_once, MEMORY_BYTES // SENT_BYTES)
        try:
            with os.fdopen(handle, "wb") as file, ThreadPoolExecutor(at_once) as threads:
                starts = range(0, entry.bytes, SENT_BYTES)
                for first in range(0, len(starts), at_once):
                    some = starts[first : first + at_once]
                    ends = [min(start + SENT_BYTES, entry.bytes) for start in some]
                    parts = ((key, start, end, entry.bytes) for start, end in zip(some, ends, strict=True))
                    with _UNDER_WAY.taking(ends[-1] - first * SENT_BYTES):  # until they are written
                        for part in threads.map(lambda asked: self._store.get_named(*asked), parts):
                            file.write(part)
                            found.update(part)
            if not entry.is_of(found.hexdigest()):
                raise damaged(f"{self._object(key)}: its bytes differ from the manifest")
            temporary.replace(path)
        except NoObjectError as error:
            raise damaged(f"{self._object(key)}: missing, or of another size") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _object(self, key: str) -> str:
        return f"{self._place.root}/{key}"

    def _write(self, path: Path, content: bytes) -> None:
        """Replace a file of the mirror; several processes may at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.room.making.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.room.making)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)


def _remove_files(folder: Path) -> None:
    """Remove what is in a folder and leave the folder, in which other readers may be writing."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)


def is_etag_of(etag: str, path: Path) -> bool:
    """Whether an ETag is the MD5 of a file or, of one sent in parts, of the MD5 of these, with their number.

    False says nothing: objects that the store encrypts by a key of its user, and those of Azure, have others.
    """
    digest, _, parts = etag.strip('"').partition("-")
    with path.open("rb") as file:
        if not parts:
            return hashlib.file_digest(file, _md5).hexdigest() == digest
        sums = [_md5(part).digest() for part in iter(lambda: file.read(SENT_BYTES), b"")]
    return parts == str(len(sums)) and _md5(b"".join(sums)).hexdigest() == digest


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def each(call: Callable[[T], object], things: Iterable[T], at_once: int) -> None:
    """Call with each thing, so many at a time; the first error is raised."""
    several = list(things)
    if len(several) < 2:
        for thing in several:
            call(thing)
        return
    with ThreadPoolExecutor(min(at_once, len(several))) as threads:
        for _ in threads.map(call, several):
            pass
