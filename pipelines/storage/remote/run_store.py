"""The objects of a run: what is written under which key, and how it gets to the mirror, a folder of this
machine in which the run's files appear under the paths that a run in a folder has.

    data/<step>/<32 digits of its SHA-256><suffix>   a committed file; versions of a step share equal ones
    units/<step>/<version>/<unit>.json               a receipt, put where there is none
    units/<step>/<version>/<segment>.parquet         a segment; its name holds a digest
    manifests/<step>/<version>.json                  a manifest, put where there is none
    manifests/<step>/<version>.not_kept              that files of a complete step were removed after use
    current.json, recipe.json, graph.json            the driver's: epoch and content, put over a known version
    lease.json, log/run.jsonl, report/*              who drives the run; its log and its report

There is no rename. A file's key names its content, so half a file or another one is never found there, and
a receipt comes when all files of its unit are there. Every key that is read follows from a receipt or a
manifest. Listings only tell a driver what an earlier one has left: what they miss is done again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.objects.current import settings_in_use
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError, ObjectError
from corpusmill.pipelines.storage.objects.requests import Requests
from corpusmill.pipelines.storage.objects.store import ObjectInfo, ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl
from corpusmill.pipelines.storage.remote.lease import FencedError, Lease
from corpusmill.pipelines.storage.remote.sent_files import SentFiles, each, is_etag_of
from corpusmill.pipelines.storage.remote.shared_objects import SharedObjects

MUTABLE = ("current.json", "recipe.json", "graph.json")
_LOG = "log/run.jsonl"
_NOT_KEPT = ".not_kept"
_SMALL_AT_ONCE = 16  # receipts and segments fetched
_TRIES = 8  # to write what others write too


@dataclass(frozen=True)
class Hint:
    """What a listing told: times of manifests by version, and receipts and segments by name, by step; and
    steps with their versions of which files were removed after use."""

    manifests: dict[str, dict[str, float]]
    not_kept: set[tuple[str, str]]
    units: dict[tuple[str, str], dict[str, ObjectInfo]]


class RunStore(SentFiles):
    """The run at `place`, whose files appear below `mirror` (see the module). Safe for several threads.

    Steps are given by their folder in the mirror, `<mirror>/steps/<step>/<version>`. Methods raise
    ObjectError where the store cannot be reached, IntegrityError where an object is missing or altered.
    """

    def __init__(self, place: ObjectUrl, mirror: Path) -> None:
        super().__init__(place, mirror)
        self._versions: dict[str, str | None] = {}  # of the files in MUTABLE, as last seen
        self._written: dict[str, bytes] = {}  # these files as the driver wrote them last
        self._fresh = False  # whether these were fetched
        self._known: set[Path] = set()  # steps whose manifest was fetched or written by this process
        self._noted: set[Path] = set()  # steps of which it knows whether files were removed after use
        self._changed: set[Path] = set()  # steps whose receipts or segments this process wrote or removed
        self._hint: Hint | None = None
        self._lease: Lease | None = None
        self._lock = threading.Lock()

    def _unit_key(self, step: Path, name: str) -> str:
        return self._key("units", step.parent.name, step.name, name)

    def _manifest_key(self, step: Path) -> str:
        return self._key("manifests", step.parent.name, f"{step.name}.json")

    def url_of(self, path: PurePosixPath) -> str:
        """The URL of the object that a path of the run in a folder stands for; of a file in `data`, whose key
        its receipt tells, the place that commands take."""
        match path.parts:
            case ("steps", step, version, "manifest.json"):
                return self._object(self._key("manifests", step, f"{version}.json"))
            case ("steps", step, version, "not_kept.json"):
                return self._object(self._key("manifests", step, f"{version}{_NOT_KEPT}"))
            case ("steps", step, version, "units" | "receipts", name):
                return self._object(self._key("units", step, version, name))
        return "/".join((self.url, *path.parts))

    # Receipts and segments.

    def put_receipt(self, step: Path, name: str, content: bytes) -> None:
        """Commit a unit. Raises IntegrityError where another attempt has committed something else."""
        key = self._unit_key(step, name)
        self._changed.add(step)
        for _ in range(_TRIES):
            if self._store.put_new(key, content):
                return
            with suppress(NoObjectError):  # another put came in between, and is not done, or was removed
                if self._store.get(key) == content:
                    return
                raise damaged(
                    f"{self._object(key)}: another attempt at the unit came to another result than this one; "
                    "look for a stage whose output depends on chance, time or the machine"
                )
        raise ObjectError(f"{self._object(key)}: neither there nor written; run the same command again")

    def put_segment(self, step: Path, name: str, content: bytes) -> None:
        """Write a segment."""
        self._changed.add(step)
        self._store.put(self._unit_key(step, name), content)

    def fetch_unit(self, step: Path, name: str, target: Path) -> bool:
        """Fetch a receipt or segment to `target`; whether there is one."""
        return self._fetch_small(self._unit_key(step, name), target)

    def _fetch_small(self, key: str, target: Path) -> bool:
        try:
            content = self._store.get(key)
        except NoObjectError:
            return False
        self._write(target, content)
        return True

    def fetch_units(self, step: Path) -> None:
        """Make the receipts and segments in the mirror those that a listing tells of."""
        listed = self.names_of_units(step)
        receipts = [name for name in listed if name.endswith(".json")]
        segments = [name for name in listed if name.endswith(".parquet")]
        for folder, names in ((step / "receipts", receipts), (step / "units", segments)):
            for path in _files(folder):
                if path.name not in names:
                    path.unlink()
        # A segment's name holds its digest; a receipt may be another by now.
        lacking = [name for name in segments if not (step / "units" / name).exists()]
        each(lambda name: self.fetch_unit(step, name, step / "units" / name), lacking, _SMALL_AT_ONCE)
        each(lambda name: self.fetch_unit(step, name, step / "receipts" / name), receipts, _SMALL_AT_ONCE)

    def remove_units(self, step: Path, names: Iterable[str]) -> None:
        """Remove receipts and segments."""
        self._changed.add(step)
        self._store.delete_all([self._unit_key(step, name) for name in names])

    def names_of_units(self, step: Path) -> list[str]:
        """Names of the receipts and segments there: as they were listed first, or anew where this process has
        changed them since."""
        return list(self._units(step))

    def _units(self, step: Path) -> dict[str, ObjectInfo]:
        if step not in self._changed:
            return self.hint().units.get((step.parent.name, step.name), {})
        found = self._store.list_below(self._key("units", step.parent.name, step.name))
        return {info.url.rsplit("/", 1)[-1]: info for info in found}

    def unlike_segment(self, step: Path, name: str) -> str | None:
        """What is wrong with the object of a segment whose copy in the mirror is sound; None where it is
        there with the same bytes. It is fetched where its ETag does not prove these."""
        info, path = self._units(step).get(name), step / "units" / name
        url = self._object(self._unit_key(step, name))
        if info is None:
            return f"{url}: missing"
        if info.size == path.stat().st_size and is_etag_of(info.version, path):
            return None
        try:
            content = self._store.get(self._unit_key(step, name))
        except NoObjectError:
            return f"{url}: missing"
        return None if content == path.read_bytes() else f"{url}: its bytes differ from what was written"

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

    # Files that are removed after use.

    def _not_kept_key(self, step: Path) -> str:
        return self._key("manifests", step.parent.name, f"{step.name}{_NOT_KEPT}")

    def sync_not_kept(self, step: Path, path: Path) -> None:
        """Have at `path` what says that files of a step were removed, or nothing where none were. Asked for
        once a process; the driver, which alone removes them, asks only for what was listed."""
        if step in self._noted:
            return
        there = self._lease is None or (step.parent.name, step.name) in self.hint().not_kept
        if not there or not self._fetch_small(self._not_kept_key(step), path):
            path.unlink(missing_ok=True)
        self._noted.add(step)

    def put_not_kept(self, step: Path, content: bytes) -> None:
        """Say that files of a step are removed."""
        self._check()
        self._store.put(self._not_kept_key(step), content)
        self._noted.add(step)

    def remove_not_kept(self, step: Path) -> None:
        """Say that all files of a step will be there."""
        self._check()
        self._store.delete(self._not_kept_key(step))
        self._noted.add(step)

    def remove_data(self, step: Path, files: Iterable[FileEntry], staying: Iterable[FileEntry]) -> None:
        """Remove the objects of files of a step, but those that hold files of it which stay."""
        assert self._lease is not None
        keys = {self._data_key(step, file) for file in files}
        keys -= {self._data_key(step, file) for file in staying}
        self._lease.prove()  # a driver that slept must not remove what its successor has made again
        self._store.delete_all(sorted(keys))

    def versions(self, name: str) -> list[Path]:
        """Complete versions of a step that were listed, the newest first."""
        times = self.hint().manifests.get(name, {})
        found = sorted(times, key=lambda version: (-times[version], version))
        return [self.mirror / "steps" / name / version for version in found]

    def hint(self) -> Hint:
        """What was there when it was first asked for, or when the driver began."""
        if self._hint is None:
            manifests: dict[str, dict[str, float]] = {}
            lacking: set[tuple[str, str]] = set()
            for info in self._store.list_below(self._key("manifests")):
                step, version = info.url.split("/")[-2:]
                if version.endswith(_NOT_KEPT):
                    lacking.add((step, version.removesuffix(_NOT_KEPT)))
                    continue
                manifests.setdefault(step, {})[version.removesuffix(".json")] = info.modified
            units: dict[tuple[str, str], dict[str, ObjectInfo]] = {}
            for info in self._store.list_below(self._key("units")):
                step, version, unit = info.url.split("/")[-3:]
                units.setdefault((step, version), {})[unit] = info
            self._hint = Hint(manifests, lacking, units)
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
        """Fetch one of these files; the epoch of the driver that wrote it, 0 where there is none. What has no
        epoch is fetched as it is: whoever reads the file finds it damaged, and a repair writes over it."""
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
        except (ValueError, KeyError, TypeError):
            epoch, content = 0, whole
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
        self._noted.clear()
        self._written.clear()
        try:
            yield
        except BaseException:
            with suppress(FencedError):  # what ends the run is told
                self._give_back(lease)
            raise
        self._give_back(lease)

    def driven_elsewhere(self) -> bool:
        """Whether a driver with another mirror, such as on another machine, has the run at work."""
        lease = Lease(self._store, self._key("lease.json"), self.url, self.room.name())
        return lease.held_elsewhere()

    def _give_back(self, lease: Lease) -> None:
        self._lease = None
        lease.give_back()

    def keep_log(self) -> None:
        """Keep the log, as the driver, unless it was removed with the mirror."""
        self._check()
        if (log := self.mirror / _LOG).exists():
            self._store.upload(self._key(_LOG), log)

    def keep(self, path: Path) -> str:
        """Keep a file of the mirror that anybody may write again, such as a report; its URL."""
        key = self._key(path.relative_to(self.mirror).as_posix())
        self._store.upload(key, path)
        return self._object(key)

    def shared(self, name: str) -> SharedObjects:
        """Objects by which processes of several machines speak, apart from those of the run."""
        return SharedObjects(replace(self._place, key=self._key(name)))


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
