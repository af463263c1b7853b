"""Git repositories."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.assembly.archive_reader import MemberReader
from corpusmill.pipelines.sources.assembly.code_reader import LICENSE_LIBRARIES
from corpusmill.pipelines.sources.reader import Batch, Label, Split
from corpusmill.pipelines.storage.sealed import digest

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.framing.git_objects import Objects
    from corpusmill.pipelines.sources.framing.git_tree import Entry, Folder
    from corpusmill.pipelines.sources.looking.look import Look

_LFS = b"version https://git-lfs.github.com/spec/"  # git-lfs, docs/spec.md: a pointer has under 1,024 bytes
_LFS_BYTES = 1024


class Git(MemberReader):
    """Reads git repositories at a revision, one file of the commit's tree a document; nothing is checked out.

    `files` name repositories, bare or with a work tree, or folders below which they lie. Only the
    repository's own objects are read, loose and packed; its hooks, filters, replacements and alternates play
    no part, and its work tree may be dirty or missing. Every object is compared with its id, so that the
    commit's id stands for all that is read: it is in `meta.commit` and decides whether a run reads the
    repository again, however its objects are packed.

    `repo` is the repository's folder without `.git`, `path` the path in the tree. Ids: from repository, path
    and bytes. The order is that of the trees.

    Removed: `not_selected`, `hidden`, `too_large` as by `tar`, `link`, `submodule`, `lfs_pointer` (a file
    that git-lfs keeps elsewhere), `unsafe_path` (a name that git refuses, or a path over 4,096 characters).
    Quarantined: `bad_utf8`, `binary`, `bad_notebook`, `missing_object` (as in a partial clone),
    `bad_object` (one that cannot be unpacked or differs from its id; a tree counts as one). A revision that
    is not there is found when the repository is indexed, and so is the entry behind which there are more
    than `max_files`, which a few trees that hold each other can pretend.
    """

    libraries: ClassVar[tuple[str, ...]] = ("dulwich", *LICENSE_LIBRARIES)
    looked_at: ClassVar[int] = 30
    local_only: ClassVar[str] = "reads repositories of this machine; clone them, or store archives for `tar`"

    revision: str = Field(
        "HEAD", min_length=1, description="Branch, tag or 40 hex digits of the commit to read."
    )
    max_files: int = Field(
        10_000_000, ge=1, description="Most files of a commit; the rest is one quarantined record."
    )

    def expand(self, path: Path) -> list[Path]:
        """The file HEAD of every repository at or below a folder; it stands for the repository."""
        from corpusmill.pipelines.sources.framing.git_repository import git_folders

        return [folder / "HEAD" for folder in git_folders(path)] if path.is_dir() else []

    def name_of(self, base: Path, file: Path) -> str:
        """The repository's path from `base`, or its folder's name where that is the base; without `.git`."""
        folder = file.parent.parent if file.parent.name == ".git" else file.parent
        name = folder.name if folder == base else folder.relative_to(base).as_posix()
        return name.removesuffix(".git") or name

    def stored_bytes(self, path: Path) -> int:
        """Bytes of all objects as they are stored, loose and packed."""
        return sum(file.stat().st_size for file in (path.parent / "objects").glob("??*/*") if file.is_file())

    def state(self, path: Path, name: str) -> str:
        """The id of the commit, or why there is none."""
        from corpusmill.pipelines.sources.framing.git_repository import resolve

        try:
            return resolve(path.parent, self.revision)
        except DataError as error:
            return str(error)

    def content_hash(self, path: Path) -> str:
        """A digest of the commit's id, which stands for all of its content."""
        return digest(["git", self.state(path, "")])

    def look(self, path: Path) -> Look:
        """Whether the revision is there, and a file in its tree."""
        from corpusmill.pipelines.sources.framing.git_objects import Objects
        from corpusmill.pipelines.sources.framing.git_repository import resolve, root_tree
        from corpusmill.pipelines.sources.framing.git_tree import walk
        from corpusmill.pipelines.sources.looking.look import EMPTY, Look

        try:
            commit = resolve(path.parent, self.revision)
            with Objects(path.parent / "objects") as objects:
                found = next(walk(objects, root_tree(objects, commit)), None)
        except DataError as error:
            return Look(fault=str(error))
        return EMPTY if found is None else Look(sound=True)

    def index(self, path: Path) -> list[Split]:
        """Splits of the files of the commit's tree, in its order, by their numbers.

        `hint`: the number of the first file in each tree that leads to it. `context`: the commit's id. Sizes
        are those of the files.
        """
        from corpusmill.pipelines.sources.framing.git_objects import BadObject, Objects
        from corpusmill.pipelines.sources.framing.git_repository import resolve, root_tree
        from corpusmill.pipelines.sources.framing.git_tree import walk

        splits: list[Split] = []
        start, size, number = 0, 0, -1
        place: tuple[int, ...] = ()
        fault: str | None = None
        try:
            commit = resolve(path.parent, self.revision)
            with Objects(path.parent / "objects") as objects:
                for number, (entry, _) in enumerate(walk(objects, root_tree(objects, commit))):
                    if number == self.max_files:
                        fault = f"the tree has over {self.max_files} files; raise `max_files`"
                        break
                    length = self._length(objects, entry)
                    if size and size + length > self.split_bytes:
                        splits.append(Split(start, number, size, place, None, commit))
                        start, place, size = number, entry.place, 0
                    place = place or entry.place
                    size += length + 1
                else:
                    number += 1
        except BadObject as error:
            return [Split(0, 0, 1, (), f"{error}; fetch the repository again")]
        except DataError as error:
            return [Split(0, 0, 1, (), str(error))]
        if number > start:
            splits.append(Split(start, number, size, place, None, commit))
        if fault is not None:
            splits.append(Split(number, number + 1, 1, (), fault))
        return splits

    def _length(self, objects: Objects, entry: Entry) -> int:
        """Bytes of a file as far as they are read."""
        from corpusmill.pipelines.sources.framing.git_objects import BadObject

        if not entry.is_file:
            return 0
        try:
            size = objects.size(entry.oid)
        except BadObject:
            return 0
        return size if size <= self.limit_of(entry.path) else 0

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the files of `split`, of the indexed commit. Raises DataError if it is there no more."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.git_objects import Objects
        from corpusmill.pipelines.sources.framing.git_repository import root_tree
        from corpusmill.pipelines.sources.framing.git_tree import walk

        assert split.context is not None, "the index names the commit"
        collector = Collector(label)
        left = split.end - split.start
        with Objects(path.parent / "objects") as objects:
            root = root_tree(objects, split.context)
            for entry, folders in walk(objects, root, split.hint):
                if left == 0:
                    break
                left -= 1
                self._add(collector, objects, name, entry, split.context, folders)
                if collector.full:
                    yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _license(self, objects: Objects, folders: list[Folder]) -> str | None:
        """The licence that the nearest of the folders says, each looked at once."""
        from corpusmill.pipelines.sources.framing.git_objects import BLOB, BadObject
        from corpusmill.pipelines.sources.licences.files import (
            EVIDENCE_BYTES,
            evidence,
            folder_license,
            is_evidence,
        )

        if not self.looks_for_licenses:
            return None
        for folder in reversed(folders):
            if not folder.looked_at:
                found: dict[str, str | None] = {}
                for name, mode, oid in folder.entries:
                    if stat.S_ISREG(mode) and is_evidence(name):
                        found[name] = None
                        with suppress(BadObject):  # counted where it is itself read
                            kind, content = objects.read(oid, EVIDENCE_BYTES)
                            found[name] = evidence(name, content if kind == BLOB else None)
                folder.license, folder.looked_at = folder_license(found), True
            if folder.license is not None:
                return folder.license
        return None

    def _add(
        self,
        collector: Collector,
        objects: Objects,
        name: str,
        entry: Entry,
        commit: str,
        folders: list[Folder],
    ) -> None:
        from corpusmill.pipelines.sources.framing.git_objects import BLOB, BadObject, MissingObject
        from corpusmill.pipelines.sources.framing.git_tree import SUBMODULE

        position = f"{name}, commit {commit[:12]}, {entry.path}"
        if entry.fault is not None:
            collector.quarantine("bad_object", 0, position, entry.fault)
            return
        why = (
            "unsafe_path" if entry.unsafe else
            "submodule" if entry.mode == SUBMODULE else
            "link" if entry.is_link else
            None if entry.is_file else "unsafe_path"
        )  # fmt: skip
        if why is not None:
            collector.remove(why, 0, position)
            return
        try:
            size = objects.size(entry.oid)
            if not self.admits(collector, entry.path, size, position):
                return
            kind, content = objects.read(entry.oid, self.limit_of(entry.path))
            if kind != BLOB:
                raise BadObject(f"object {entry.oid.hex()}: it is a {kind}, no file")
        except MissingObject as error:
            collector.quarantine("missing_object", 0, position, str(error))
        except BadObject as error:
            collector.quarantine("bad_object", 0, position, str(error))
        else:
            if content.startswith(_LFS) and len(content) < _LFS_BYTES:
                collector.remove("lfs_pointer", len(content), position)
            else:
                found = self._license(objects, folders)
                self.add_file(
                    collector, content, position, name, entry.path, found=found, meta={"commit": commit}
                )
