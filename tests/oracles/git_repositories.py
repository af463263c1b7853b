"""Repositories for tests, written object by object, and packed as git packs."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

from dulwich.pack import create_delta, write_pack_index_v2

FILE, PROGRAM, LINK, SUBMODULE, FOLDER = 0o100644, 0o100755, 0o120000, 0o160000, 0o40000
Tree = Mapping[str, "bytes | Tree | tuple[int, bytes]"]
_KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}


class Repository:
    """A bare repository at `folder`; objects are loose until `pack`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, tuple[str, bytes]] = {}
        for name in ("objects/pack", "refs/heads", "refs/tags"):
            (folder / name).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/main\n")

    def add(self, kind: str, content: bytes) -> str:
        """A loose object; returns its id."""
        data = f"{kind} {len(content)}\0".encode() + content
        oid = hashlib.sha1(data).hexdigest()
        self.objects[oid] = (kind, content)
        place = self.folder / "objects" / oid[:2] / oid[2:]
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(zlib.compress(data))
        return oid

    def tree(self, files: Tree) -> str:
        entries = []
        for name, value in files.items():
            if isinstance(value, bytes):
                mode, oid = FILE, self.add("blob", value)
            elif isinstance(value, tuple):
                mode, content = value
                oid = content.decode() if mode in (SUBMODULE, FOLDER) else self.add("blob", content)
            else:
                mode, oid = FOLDER, self.tree(value)
            entries.append((name.encode() + b"/" * (mode == FOLDER), mode, name.encode(), oid))
        return self.raw_tree([(mode, name, oid) for _, mode, name, oid in sorted(entries)])

    def raw_tree(self, entries: list[tuple[int, bytes, str]]) -> str:
        return self.add(
            "tree", b"".join(b"%o %s\0" % (mode, name) + bytes.fromhex(oid) for mode, name, oid in entries)
        )

    def commit(self, tree: str, branch: str = "main", message: str = "x") -> str:
        who = "A <a@example.org> 1700000000 +0000"
        oid = self.add("commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{message}\n".encode())
        place = self.folder / "refs/heads" / branch
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(oid + "\n")
        return oid

    def tag(self, name: str, oid: str, kind: str = "commit") -> str:
        found = self.add("tag", f"object {oid}\ntype {kind}\ntag {name}\n\nx\n".encode())
        (self.folder / "refs/tags" / name).write_text(found + "\n")
        return found

    def pack(self, deltas: Mapping[str, str] | None = None, by_id: bool = False) -> Path:
        """All loose objects in one pack, `{id: id of its base}` of them as deltas; `by_id`: as REF_DELTA."""
        data = bytearray(b"PACK" + (2).to_bytes(4, "big") + len(self.objects).to_bytes(4, "big"))
        offsets: dict[str, int] = {}
        entries = []
        deltas = dict(deltas or {})

        def write(oid: str) -> None:
            if oid in offsets:
                return
            kind, content = self.objects[oid]
            base = deltas.get(oid)
            head, code = b"", _KINDS[kind]
            if base is not None:
                write(base)
                content = b"".join(create_delta(self.objects[base][1], content))
                code = 7 if by_id else 6
            offset = offsets[oid] = len(data)
            if base is not None:
                head = bytes.fromhex(base) if by_id else _back(offset - offsets[base])
            stored = _size(code, len(content)) + head + zlib.compress(content)
            data.extend(stored)
            entries.append((bytes.fromhex(oid), offset, zlib.crc32(stored)))

        for oid in self.objects:
            write(oid)
        checksum = hashlib.sha1(data).digest()
        place = self.folder / "objects/pack" / f"pack-{checksum.hex()}.pack"
        place.write_bytes(bytes(data) + checksum)
        with place.with_suffix(".idx").open("wb") as file:
            write_pack_index_v2(file, sorted(entries), checksum)
        for oid in self.objects:
            (self.folder / "objects" / oid[:2] / oid[2:]).unlink(missing_ok=True)
        self.objects.clear()
        return place


def _size(kind: int, size: int) -> bytes:
    found = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        found[-1] |= 128
        found.append(size & 127)
        size >>= 7
    return bytes(found)


def _back(distance: int) -> bytes:
    found = bytearray([distance & 127])
    while distance := distance >> 7:
        distance -= 1
        found.insert(0, distance & 127 | 128)
    return bytes(found)
