"""The files of a commit, in the order of its trees, from any of them on."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from corpusmill.pipelines.sources.framing.git_objects import TREE, BadObject, Objects

TREE_BYTES = 2**26  # of one tree
PATH_LENGTH = 4096  # of one path, as on Linux
SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or submodule of a commit. `place`: its number in each tree that leads to it. `unsafe`:
    git refuses its name, or its path is over 4,096 characters; a tree is then not entered. `fault`: why a
    tree cannot be read; the entry then stands for all of it."""

    path: str
    mode: int
    oid: bytes
    place: tuple[int, ...]
    unsafe: bool = False
    fault: str | None = None

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(slots=True)
class Folder:
    """One tree on the way to an entry: what is in it, and which of it comes next. `license` is for a caller
    who walks to note what the folder says of its licence."""

    path: str
    entries: list[tuple[str, int, bytes]]
    next: int = 0
    license: str | None = None
    looked_at: bool = False


def walk(objects: Objects, root: bytes, place: tuple[int, ...] = ()) -> Iterator[tuple[Entry, list[Folder]]]:
    """Every entry that is no tree, from the one at `place` on, and the folders that lead to it.

    Memory: the trees on the way. Raises BadObject where the root, or a tree on the way to `place`, cannot be
    read; any other tree that cannot be is an entry with a fault.
    """
    folders = [_folder(objects, "", root)]
    for number in place[:-1]:
        name, _, oid = folders[-1].entries[number]
        folders[-1].next = number + 1
        folders.append(_folder(objects, folders[-1].path + name + "/", oid))
    if place:
        folders[-1].next = place[-1]
    while folders:
        here = folders[-1]
        if here.next == len(here.entries):
            folders.pop()
            continue
        name, mode, oid = here.entries[here.next]
        here.next += 1
        path = here.path + name
        unsafe = name in ("", ".", "..") or "/" in name or len(path) > PATH_LENGTH
        place = tuple(folder.next - 1 for folder in folders)
        fault: str | None = None
        if stat.S_ISDIR(mode) and not unsafe:
            try:
                folders.append(_folder(objects, path + "/", oid))
                continue
            except BadObject as error:
                fault = str(error)
        yield Entry(path[:PATH_LENGTH], mode, oid, place, unsafe, fault), folders


def _folder(objects: Objects, path: str, oid: bytes) -> Folder:
    from dulwich.errors import ObjectFormatException
    from dulwich.objects import parse_tree

    kind, content = objects.read(oid, TREE_BYTES)
    if kind != TREE:
        raise BadObject(f"object {oid.hex()}: it is a {kind}, no tree")
    try:
        entries = [
            (name.decode("utf-8", "backslashreplace"), mode, bytes.fromhex(hexsha.decode()))
            for name, mode, hexsha in parse_tree(content, 20)
        ]
    except (ObjectFormatException, ValueError) as error:
        raise BadObject(f"object {oid.hex()}: it is no sound tree ({error})") from error
    return Folder(path, entries)
