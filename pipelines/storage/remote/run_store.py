"""The objects of a run: what is written under which key, and how it gets to the mirror, a folder of this
machine in which the run's files appear under the paths that a run in a folder has.

    data/<step>/<32 digits of its SHA-256><suffix>   a committed file; versions of a step share equal ones
    units/<step>/<version>/<unit>.json               a receipt, put where there is none
    units/<step>/<version>/<segment>.arrow           a segment; its name holds a digest
    manifests/<step>/<version>.json                  a manifest, put where there is none
    current.json, recipe.json, graph.json            the driver's: epoch and content, put over a known version
    lease.json, log/run.jsonl, report/*              who drives the run; its log and its report

There is no rename. A file's key names its content, so half a file or another one is never found there, and
a receipt comes when all files of its unit are there. Every key that is read follows from a receipt or a
manifest. Listings only tell a driver what an earlier one has left: what they miss is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.objects.current import settings_in_use, store_of
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError
from corpusmill.pipelines.storage.objects.requests import Requests
from corpusmill.pipelines.storage.objects.store import PART_BYTES, ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl
from corpusmill.pipelines.storage.remote.lease import FencedError, Lease
from corpusmill.pipelines.storage.remote.room import Room
from corpusmill.pipelines.storage.remote.shared_objects import SharedObjects
from corpusmill.pipelines.system.faultpoints import faultpoint

T = TypeVar("T")

MUTABLE = ("current.json", "recipe.json", "graph.json")
_LOG = "log/run.jsonl"
_AT_ONCE = 8  # small objects read, or files sent, at a time
_PARTS_AT_ONCE = 4  # of one file that is fetched, 16 MiB each in memory
_TRIES = 8  # to write a file of the driver that an earlier driver writes too


@dataclass(frozen=True)
class Hint:
    """What a listing told: times of manifests by version, and names of receipts and segments, by step."""

    manifests: dict[str, dict[str, float]]
    units: dict[tuple[str, str], list[str]]


class RunStore:
    """The run at `place`, whose files appear below `mirror` (see the module). Safe for several threads.

    Steps are given by their folder in the mirror, `<mirror>/steps/<step>/<version>`. Methods raise
    ObjectError where the store cannot be reached, IntegrityError where an object is missing or altered.
    """

    def __init__(self, place: ObjectUrl, mirror: Path) -> None:
        self._place, self.mirror = place, mirror
        self.room = Room(mirror)
        self._versions: dict[str, str | None] = {}  # of the files in MUTABLE, as last seen
        self._written: dict[str, bytes] = {}  # these files as the driver wrote them last
        self._fresh = False  # whether these were fetched
        self._known: set[Path] = set()  # steps whose manifest was fetched or written by this process
        self._changed: set[Path] = set()  # steps whose receipts or segments this process wrote or removed
        self._hint: Hint | None = None
        self._lease: Lease | None = None
        self._lock = threading.Lock()

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

    def _unit_key(self, step: Path, name: str) -> str:
        return self._key("units", step.parent.name, step.name, name)

    def _manifest_key(self, step: Path) -> str:
        return self._key("manifests", step.parent.name, f"{step.name}.json")

    # Files of units.

    def send(self, step: Path, folder: Path, files: Sequence[FileEntry]) -> None:
        """Write files of an attempt, which lie below `folder`, under the keys that name their content."""

        def sent(file: FileEntry) -> None:
            self._store.upload(self._data_key(step, file), folder / file.name)
            faultpoint("object-sent")

        _each(sent, files)
        self.room.grown(sum(file.bytes for file in files))

    def have(self, step: Path, entry: FileEntry) -> Path:
        """The path of a committed file, which is fetched where it is not there or of another size."""
        path = step / "data" / entry.name
        if self.room.pin(path, entry.bytes):
            return path
        with self.room.fetching(path):
            if not self.room.pin(path, entry.bytes):
                self._fetch(step, entry, path)
        return path

    def have_all(self, step: Path, entries: Iterable[FileEntry]) -> None:
        """Have these files there."""
        _each(lambda entry: self.have(step, entry), entries)

    def fetch_again(self, step: Path, entry: FileEntry) -> Path:
        """Fetch a file anew whose copy here is damaged."""
        path = step / "data" / entry.name
        with self.room.fetching(path):
            self._fetch(step, entry, path)
        return path

    def _fetch(self, step: Path, entry: FileEntry, path: Path) -> None:
        store, key = self._store, self._data_key(step, entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.room.grown(entry.bytes)
        handle, name = tempfile.mkstemp(dir=self.room.making)
        temporary, found = Path(name), hashlib.sha256()
        try:
            with os.fdopen(handle, "wb") as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as threads:
                starts = range(0, entry.bytes, PART_BYTES)
                for first in range(0, len(starts), _PARTS_AT_ONCE):
                    some = starts[first : first + _PARTS_AT_ONCE]
                    ends = (min(start + PART_BYTES, entry.bytes) for start in some)
                    parts = ((key, start, end, entry.bytes) for start, end in zip(some, ends, strict=True))
                    for part in threads.map(lambda asked: store.get_named(*asked), parts):
                        file.write(part)
                        found.update(part)
            if found.hexdigest() != entry.sha256:
                raise damaged(f"{self._object(key)}: its bytes differ from the manifest")
            temporary.replace(path)
        except NoObjectError as error:
            raise damaged(f"{self._object(key)}: missing, or of another size") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _object(self, key: str) -> str:
        return f"{self._place.root}/{key}"

    # Receipts and segments.

    def put_receipt(self, step: Path, name: str, content: bytes) -> None:
        """Commit a unit. Raises IntegrityError where another attempt has committed something else."""
        key = self._unit_key(step, name)
        self._changed.add(step)
        if not self._store.put_new(key, content):
            with suppress(NoObjectError):  # removed meanwhile: the step is complete
                if self._store.get(key) != content:
                    raise damaged(
                        f"{self._object(key)}: another attempt at the unit came to another result than this "
                        "one; look for a stage whose output depends on chance, time or the machine"
                    )

    def put_segment(self, step: Path, name: str, content: bytes) -> None:
        """Write a segment."""
        self._changed.add(step)
        self._store.put(self._unit_key(step, name), content)

    def fetch_unit(self, step: Path, name: str, target: Path) -> bool:
        """Fetch a receipt or segment to `target`; whether there is one."""
        try:
            content = self._store.get(self._unit_key(step, name))
        except NoObjectError:
            return False
        self._write(target, content)
        return True

    def fetch_units(self, step: Path) -> None:
        """Make the receipts and segments in the mirror those that a listing tells of."""
        listed = self.names_of_units(step)
        receipts = [name for name in listed if name.endswith(".json")]
        segments = [name for name in listed if name.endswith(".arrow")]
        for folder, names in ((step / "receipts", receipts), (step / "units", segments)):
            for path in _files(folder):
                if path.name not in names:
                    path.unlink()
        # A segment's name holds its digest; a receipt may be another by now.
        lacking = [name for name in segments if not (step / "units" / name).exists()]
        _each(lambda name: self.fetch_unit(step, name, step / "units" / name), lacking)
        _each(lambda name: self.fetch_unit(step, name, step / "receipts" / name), receipts)

    def remove_units(self, step: Path, names: Iterable[str]) -> None:
        """Remove receipts and segments."""
        self._changed.add(step)
        self._store.delete_all([self._unit_key(step, name) for name in names])

    def names_of_units(self, step: Path) -> list[str]:
        """Names of the receipts and segments there: as they were listed first, or anew where this process has
        changed them since."""
        if step not in self._changed:
            return self.hint().units.get((step.parent.name, step.name), [])
        found = self._store.list_below(self._key("units", step.parent.name, step.name))
        return [info.url.rsplit("/", 1)[-1] for info in found]

    def begun(self) -> list[Path]:
        """Versions of steps that were listed with receipts or segments, in order."""
        return sorted(self.mirror / "steps" / step / version for step, version in self.hint().units)

    # Manifests.

    def put_manifest(self, step: Path, content: bytes) -> None:
        """Let a step be complete. Raises IntegrityError where it is already, with other content."""
        self._check()
        key = self._manifest_key(step)
        if not self._store.put_new(key, content) and self._store.get(key) != content:
            raise damaged(f"{self._object(key)}: the step is complete already, with another result")
        self._known.add(step)

    def sync_manifest(self, step: Path) -> None:
        """Have the manifest in the mirror where the step is complete, and none where it is not.

        Asked for once a process where there is one. The driver, which alone makes steps complete, asks only
        for those that were listed.
        """
        if step in self._known:
            return
        path = step / "manifest.json"
        if self._lease is not None and step.name not in self.hint().manifests.get(step.parent.name, {}):
            path.unlink(missing_ok=True)
            return
        try:
            content = self._store.get(self._manifest_key(step))
        except NoObjectError:
            path.unlink(missing_ok=True)
            return
        if not path.exists() or path.read_bytes() != content:
            self._write(path, content)
        self._known.add(step)

    def remove_manifest(self, step: Path) -> None:
        """Let a step be incomplete."""
        self._check()
        self._store.delete(self._manifest_key(step))
        self._known.discard(step)
        self.hint().manifests.get(step.parent.name, {}).pop(step.name, None)

    def versions(self, name: str) -> list[Path]:
        """Complete versions of a step that were listed, the newest first."""
        times = self.hint().manifests.get(name, {})
        found = sorted(times, key=lambda version: (-times[version], version))
        return [self.mirror / "steps" / name / version for version in found]

    def hint(self) -> Hint:
        """What was there when it was first asked for, or when the driver began."""
        if self._hint is None:
            manifests: dict[str, dict[str, float]] = {}
            for info in self._store.list_below(self._key("manifests")):
                step, version = info.url.split("/")[-2:]
                manifests.setdefault(step, {})[version.removesuffix(".json")] = info.modified
            units: dict[tuple[str, str], list[str]] = {}
            for info in self._store.list_below(self._key("units")):
                step, version, unit = info.url.split("/")[-3:]
                units.setdefault((step, version), []).append(unit)
            self._hint = Hint(manifests, units)
        return self._hint

    # Files of the driver.

    def refresh(self) -> None:
        """Have the files of `MUTABLE` in the mirror as they are there, once a process."""
        with self._lock:
            if not self._fresh:
                for name in MUTABLE:
                    self._read_mutable(name)
                if not (self.mirror / _LOG).exists():
                    with suppress(NoObjectError):
                        self._write(self.mirror / _LOG, self._store.get(self._key(_LOG)))
                self._fresh = True

    def _read_mutable(self, name: str) -> int:
        """Fetch one of these files; the epoch of the driver that wrote it, 0 where there is none."""
        path = self.mirror / name
        try:
            whole, self._versions[name] = self._store.read(self._key(name))
        except NoObjectError:
            self._versions[name] = None
            path.unlink(missing_ok=True)
            return 0
        head, _, content = whole.partition(b"\n")
        try:
            epoch = int(json.loads(head)["epoch"])
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(f"{self._object(self._key(name))}: does not begin with an epoch") from error
        self._write(path, content)
        return epoch

    def write_mutable(self, path: Path, content: bytes) -> None:
        """Write one of these files as the driver. Raises FencedError where another driver has the run."""
        name = path.name
        if self._lease is None:
            raise FencedError(f"{self.url}: only the driver of the run writes its {name}")
        self.refresh()
        if self._written.get(name) == content:
            return
        epoch = self._lease.epoch
        body = json.dumps({"epoch": epoch}).encode() + b"\n" + content
        for _ in range(_TRIES):
            self._lease.check()
            try:
                self._versions[name] = self._store.put_over(self._key(name), body, self._versions[name])
            except ChangedObjectError:
                found = self._read_mutable(name)
                if found > epoch:
                    raise self._lease.fenced() from None
            else:
                self._written[name] = content
                return
        raise self._lease.fenced()

    def _check(self) -> None:
        if self._lease is not None:
            self._lease.check()

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Be the run's driver. The caller keeps other drivers out of the mirror.

        Raises UserError where another driver is at work, FencedError where another took over meanwhile.
        """
        self.mirror.mkdir(parents=True, exist_ok=True)
        # Beats are counted apart, so that they are in no unit's figures.
        store = ObjectStore(self._place, settings_in_use(), Requests())
        lease = Lease(store, self._key("lease.json"), self.url, self.room.name())
        lease.take()
        self._lease, self._fresh, self._hint = lease, False, None
        self._known.clear()
        self._written.clear()
        try:
            yield
        except BaseException:
            with suppress(FencedError):  # what ends the run is told
                self._give_back(lease)
            raise
        self._give_back(lease)

    def _give_back(self, lease: Lease) -> None:
        self._lease = None
        lease.give_back()

    def keep_log(self) -> None:
        """Keep the log, as the driver."""
        self._check()
        self._store.upload(self._key(_LOG), self.mirror / _LOG)

    def keep(self, path: Path) -> str:
        """Keep a file of the mirror that anybody may write again, such as a report; its URL."""
        key = self._key(path.relative_to(self.mirror).as_posix())
        self._store.upload(key, path)
        return self._object(key)

    def shared(self, name: str) -> SharedObjects:
        """Objects by which processes of several machines speak, apart from those of the run."""
        return SharedObjects(replace(self._place, key=self._key(name)))

    def _write(self, path: Path, content: bytes) -> None:
        """Replace a file of the mirror; several processes may at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.room.making.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.room.making)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _each(call: Callable[[T], object], things: Iterable[T]) -> None:
    """Call with each thing, several at a time; the first error is raised."""
    several = list(things)
    if len(several) < 2:
        for thing in several:
            call(thing)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(several))) as threads:
        for _ in threads.map(call, several):
            pass
