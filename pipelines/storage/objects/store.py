"""One bucket of an object store, or one web server: requests counted, and sent again where that may help.

Attempts are made here rather than by the library, so that each is counted and so that a `put_new` whose
answer was lost can be told from one that came too late. Only the parts of `upload` are sent again by the
library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from corpusmill.pipelines.storage.objects.backends import make_backend
from corpusmill.pipelines.storage.objects.faults import (
    ChangedObjectError,
    NoObjectError,
    ObjectError,
    cut_answer,
    may_pass,
    told,
)
from corpusmill.pipelines.storage.objects.requests import Requests
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import WEB, ObjectUrl, parse_url

T = TypeVar("T")

PART_BYTES = 16 * 2**20  # of one ranged read of a source
SENT_BYTES = 2 * PART_BYTES  # of one upload, or one part of a larger one: at 5 Mbit/s within `timeout_s`
PAGE_KEYS = 1000  # keys of one page of a listing, the most that S3 gives
DELETED = {"s3": PAGE_KEYS, "gs": 1, "az": 256, "https": 1, "http": 1}  # objects by one request
_LONGEST_WAIT_S = 10.0


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a store lists it. `version`: its ETag, or else its time of modification as text, or ""
    where the store gives neither. `modified`: that time in seconds since 1970, 0 where it is not known."""

    url: str
    size: int
    version: str
    modified: float = field(default=0.0, compare=False)

    @property
    def etag(self) -> str | None:
        """What a read may ask to match: a strong ETag."""
        return self.version if self.version.startswith('"') else None


class ObjectStore:
    """A bucket or host. `requests` counts what is sent; safe to use from several threads.

    Keys have no leading slash. Methods raise ObjectError: NoObjectError where there is no such object or
    bucket, ChangedObjectError where it is not the one that `info` describes.
    """

    def __init__(self, place: ObjectUrl, settings: ObjectStorage, requests: Requests) -> None:
        self.root = place.root
        self.web = place.scheme in WEB
        self._place, self._settings, self._requests = place, settings, requests
        self._store = make_backend(place, settings, 0)

    def head(self, key: str) -> ObjectInfo:
        """Size and version of one object."""
        import obstore

        return self._info(self._ask("head", key, lambda: obstore.head(self._store, key)))

    def list_below(self, folder: str) -> list[ObjectInfo]:
        """Every object whose key begins with `folder` and a slash, however deep, by key; "" lists all."""
        import obstore

        def listed() -> list[Any]:
            found: list[Any] = []
            pages = 0
            for page in obstore.list(self._store, folder or None, chunk_size=PAGE_KEYS):
                found += page
                pages += 1
            self._requests.add("list", max(0, pages - 1))  # the first is counted as asked
            return found

        return self._listed(self._ask("list", folder, listed), [folder])

    def list_folder(self, folder: str) -> list[ObjectInfo]:
        """The objects directly in a folder, by key."""
        import obstore

        def listed() -> Any:
            answer = obstore.list_with_delimiter(self._store, folder or None)
            held = len(answer["objects"]) + len(answer["common_prefixes"])
            self._requests.add("list", max(0, -(-held // PAGE_KEYS) - 1))
            return answer

        found = self._ask("list", folder, listed)
        return self._listed(found["objects"], [folder, *found["common_prefixes"]])

    def get(self, key: str) -> bytes:
        """The whole of one object; for small ones."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """The whole of one object, and what `put_over` knows its version by; for small ones."""
        import obstore

        def got() -> tuple[bytes, str]:
            answer = obstore.get(self._store, key)
            data = bytes(answer.bytes())
            if len(data) != answer.meta["size"]:
                raise cut_answer(answer.meta["size"], len(data))
            return data, self._token(answer.meta)

        data, version = self._ask("get", key, got)
        return self._counted(data), version

    def get_named(self, key: str, start: int, end: int, size: int) -> bytes:
        """Bytes `start` to `end` of an object of `size` bytes whose key names its content: no other version
        is looked out for. Raises NoObjectError where it has another size."""
        import obstore

        options: dict[str, Any] = {} if (start, end) == (0, size) else {"range": (start, end)}

        def got() -> bytes:
            answer = obstore.get(self._store, key, options=options)
            data = bytes(answer.bytes())
            if answer.meta["size"] != size:
                url = replace(self._place, key=key)
                raise NoObjectError(f"{url}: {answer.meta['size']:,} bytes, not {size:,}; it was altered")
            if len(data) != end - start:
                raise cut_answer(end - start, len(data))
            return data

        return self._counted(self._ask("get", key, got))

    def get_range(self, key: str, start: int, end: int, info: ObjectInfo) -> bytes:
        """Bytes `start` to `end` of the object that `info` describes. Raises ChangedObjectError if it is
        another by now."""
        import obstore

        options: dict[str, Any] = {}
        if (start, end) != (0, info.size):  # a server without ranges still gives small files
            options["range"] = (start, end)
        if info.etag is not None:
            options["if_match"] = info.etag

        def got() -> bytes:
            answer = obstore.get(self._store, key, options=options)
            there = self._info(answer.meta)
            if (there.size, there.version) != (info.size, info.version):
                raise ChangedObjectError(
                    f"{info.url} changed while the run was on; run the same command again"
                )
            data = bytes(answer.bytes())
            if len(data) != end - start:
                raise cut_answer(end - start, len(data))
            return data

        data = self._counted(self._ask("get", key, got))
        self._requests.found_as_listed(info.url, info.size, info.version)
        return data

    def stream(self, info: ObjectInfo) -> Iterator[bytes]:
        """The object in pieces of at most `PART_BYTES`, each of which is asked for anew where it is cut."""
        key = parse_url(info.url).key
        for start in range(0, info.size, PART_BYTES):
            yield self.get_range(key, start, min(start + PART_BYTES, info.size), info)

    def put(self, key: str, data: bytes) -> None:
        """Write an object, over one of the same key if there is one."""
        import obstore

        self._ask("put", key, lambda: obstore.put(self._store, key, data, use_multipart=False))
        self._requests.add("put", 0, sent=len(data))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object if there is none of this key (`If-None-Match: *`); whether it was written.

        Where an earlier attempt got no answer and the object is there, it counts as written if it holds
        `data`: two writers of equal bytes both have written them.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        unanswered = False

        def made() -> bool:
            nonlocal unanswered
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return unanswered and self.get(key) == data
            except Exception:
                unanswered = True
                raise
            return True

        written = self._ask("put", key, made)
        self._requests.add("put", 0, sent=len(data) if written else 0)
        return written

    def put_over(self, key: str, data: bytes, version: str | None) -> str:
        """Write an object over the one of this version, as `read` gives it, or (None) where there is none;
        its new version.

        Raises ChangedObjectError where another is there by now. An attempt that got no answer counts where
        the object holds `data`: so `data` has to differ between writers.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        unanswered = False

        def made() -> str:
            nonlocal unanswered
            try:
                known: Any = "create" if version is None else {self._versioned: version}
                return self._token(obstore.put(self._store, key, data, mode=known, use_multipart=False))
            except (AlreadyExistsError, PreconditionError) as error:
                if unanswered:
                    there, now = self.read(key)
                    if there == data:
                        return now
                url = replace(self._place, key=key)
                raise ChangedObjectError(f"{url}: somebody else has written it meanwhile") from error
            except Exception:
                unanswered = True
                raise

        now = self._ask("put", key, made)
        self._requests.add("put", 0, sent=len(data))
        return now

    def upload(self, key: str, file: Path) -> None:
        """Write a file of any size, in parts where it has more than `SENT_BYTES`; memory: two of these. What
        was sent of one that fails is taken back."""
        import obstore

        size = file.stat().st_size
        if size <= SENT_BYTES:
            self.put(key, file.read_bytes())
            return
        sender = make_backend(self._place, self._settings, self._settings.retries)
        parts = -(-size // SENT_BYTES)
        around = (
            1 if self._place.scheme == "az" else 2
        )  # its beginning, which Azure does without, and its end
        self._requests.add("part", parts + around, sent=size)
        try:
            obstore.put(sender, key, file, use_multipart=True, chunk_size=SENT_BYTES, max_concurrency=2)
        except Exception as error:
            raise told(str(replace(self._place, key=key)), error, self._settings.retries + 1) from error

    def delete(self, key: str) -> None:
        """Remove an object; there need be none."""
        import obstore

        try:
            self._ask("delete", key, lambda: obstore.delete(self._store, key))
        except NoObjectError:
            return

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove objects, as many by one request as the store can (`DELETED`); there need be none."""
        import obstore

        for first in range(0, len(keys), PAGE_KEYS):
            some = list(keys[first : first + PAGE_KEYS])
            further = -(-len(some) // DELETED[self._place.scheme]) - 1
            try:
                self._ask("delete", some[0], partial(obstore.delete, self._store, some))
                self._requests.add("delete", further)
            except NoObjectError:  # S3 passes over those that are not there, other stores tell of them
                for key in some:
                    self.delete(key)

    def _ask(self, kind: str, key: str, call: Callable[[], T]) -> T:
        """What `call` gives, tried again with growing pauses where it may pass."""
        url = str(replace(self._place, key=key))
        wait = self._settings.retry_wait_s
        for tries in range(1, self._settings.retries + 2):
            self._requests.add(kind)
            try:
                return call()
            except ObjectError:
                raise
            except Exception as error:
                if not may_pass(error) or tries > self._settings.retries:
                    raise told(url, error, tries) from error
            time.sleep(min(wait, _LONGEST_WAIT_S))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    @property
    def _versioned(self) -> Literal["e_tag", "version"]:
        """What a write on condition compares: Google's store the generation of an object, others its ETag."""
        return "version" if self._place.scheme == "gs" else "e_tag"

    def _token(self, known: Any) -> str:
        """What is compared, of an object's metadata or of the answer to a write."""
        return str(known[self._versioned])

    def _counted(self, data: bytes) -> bytes:
        self._requests.add("get", 0, fetched=len(data))
        return data

    def _info(self, meta: Any) -> ObjectInfo:
        etag = meta["e_tag"]
        if etag and not self.web and not etag.startswith(('"', "W/")):
            etag = f'"{etag}"'  # listings of Azure have it without the quotes that its other answers have
        version = etag or (meta["last_modified"].isoformat() if meta["last_modified"] else "")
        url = str(replace(self._place, key=meta["path"]))
        modified = meta["last_modified"].timestamp() if meta["last_modified"] else 0.0
        return ObjectInfo(url, int(meta["size"]), str(version), modified)

    def _listed(self, metas: list[Any], folders: Iterable[str]) -> list[ObjectInfo]:
        """Objects by key, without the empty ones that stand for folders (keys that end in a slash)."""
        paths = {meta["path"] for meta in metas}
        known = {*folders, *(parent for path in paths for parent in _folders(path))}
        kept = [meta for meta in metas if meta["size"] or meta["path"] not in known]
        return sorted(map(self._info, kept), key=lambda info: info.url)


def _folders(key: str) -> Iterator[str]:
    """The folders that a key lies in."""
    while "/" in key:
        key = key.rsplit("/", 1)[0]
        yield key
