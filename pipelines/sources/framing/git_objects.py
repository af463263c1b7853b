"""Objects of a git repository, loose and packed, with their size known before they are unpacked.

dulwich looks up pack indexes and applies deltas. Packs are read here, because dulwich unpacks an object
whatever its size. Every object is compared with its id, so that a commit's id stands for all of its content.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from corpusmill.pipelines.contract.errors import DataError

if TYPE_CHECKING:
    from dulwich.pack import PackIndex

COMMIT, TREE, BLOB, TAG = "commit", "tree", "blob", "tag"
_KINDS = {1: COMMIT, 2: TREE, 3: BLOB, 4: TAG}
_OFFSET_DELTA, _ID_DELTA = 6, 7
MOST_BYTES = 2**27  # of one object that others are told by, and of all deltas that lead to one object
_CACHE_BYTES = 2**26  # of unpacked objects that others may be deltas of
_USUAL_CHAIN = 64  # of deltas; git makes 50 by default
_LONGEST_CHAIN = 1024  # git can be told to make 4,095
_MOST_DEPTHS = 2**20  # remembered at a time
# What reading an index, or a head, whose bytes are not what they should be can raise.
_UNSOUND = (struct.error, ValueError, LookupError, TypeError, OverflowError, AssertionError)
_MOST_PACKS = 400  # each takes two open files; git itself joins them at 50
_HEAD = 64  # enough for the head of an object in a pack: its size and the base of a delta
_PIECE = 2**16
_BEGINNING = 512  # compressed bytes that begin with their code, of up to about 300


class BadObject(DataError):  # noqa: N818  # a fact about an object, that is counted and not the end of a run
    """An object that cannot be unpacked, or is not what its id says."""


class MissingObject(BadObject):
    """An object that is not in the repository."""


class TooLarge(BadObject):
    """An object, or what it is a delta of, of more bytes than may be held."""


class Objects:
    """The objects below a repository's folder `objects`, by their ids (20 bytes).

    Alternates, which name folders elsewhere, are not followed. Memory: one object, the deltas that lead to it
    and a cache of 64 MiB.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packs: list[_Pack] = []
        # As for git, an index whose pack is not there is none; what it lists is then missing.
        found = [path for path in sorted(folder.glob("pack/*.idx")) if path.with_suffix(".pack").exists()]
        if len(found) > _MOST_PACKS:
            raise BadObject(f"{folder}: over {_MOST_PACKS} packs; run `git gc`")
        for index in found:
            self._packs.append(_Pack(index))
        self._cache: OrderedDict[tuple[str, int], tuple[str, bytes]] = OrderedDict()
        self._cached = 0
        self._depths: dict[tuple[str, int], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pack in self._packs:
            pack.close()

    def size(self, oid: bytes) -> int:
        """Bytes of an object's content. Raises BadObject."""
        with _unpacking(oid):
            packed = self._find(oid)
            if packed is None:
                return self._loose(oid, 0)[1]
            pack, offset = packed
            head = pack.head(offset)
            return head.size if head.base is None else pack.delta_size(head)

    def read(self, oid: bytes, limit: int) -> tuple[str, bytes]:
        """Kind and content of an object of at most `limit` bytes. Raises BadObject."""
        with _unpacking(oid):
            packed = self._find(oid)
            if packed is None:
                kind, _, content = self._loose(oid, limit)
            else:
                kind, content = self._packed(*packed, limit)
            head = f"{kind} {len(content)}\0".encode()
            found = hashlib.sha1(head + content, usedforsecurity=False).digest()
            if found != oid:
                raise BadObject(f"its content has the id {found.hex()}")
            return kind, content

    def _find(self, oid: bytes) -> tuple[_Pack, int] | None:
        """The pack that an object is in, and where; None where it is in none."""
        for number, pack in enumerate(self._packs):
            offset = pack.offset(oid)
            if offset is not None:
                if number:  # what is asked for next is likely to lie beside it
                    self._packs.insert(0, self._packs.pop(number))
                return pack, offset
        return None

    def _loose(self, oid: bytes, limit: int) -> tuple[str, int, bytes]:
        """Kind, size and content of a loose object; with a limit of 0 no content. Raises MissingObject."""
        name = oid.hex()
        try:
            file = (self._folder / name[:2] / name[2:]).open("rb")
        except (FileNotFoundError, NotADirectoryError):
            more = (
                "; its alternates are not followed: run `git repack -a -d` and remove objects/info/alternates"
                if (self._folder / "info" / "alternates").exists()
                else ""
            )
            raise MissingObject(f"it is not in the repository{more}") from None
        with file:
            inflater = zlib.decompressobj()
            start = inflater.decompress(file.read(_PIECE), 32)
            kind, _, rest = start.partition(b" ")
            number, end, content = rest.partition(b"\0")
            if not end or not number.isdigit() or kind.decode("latin-1") not in _KINDS.values():
                raise BadObject("it has no head of an object")
            size = int(number)
            if limit == 0:
                return kind.decode(), size, b""
            if size > limit:
                raise TooLarge(f"it has {size} bytes, over {limit}")
            content = _inflated(inflater, file.read, size, inflater.unconsumed_tail, content)
            return kind.decode(), size, content

    def _packed(self, pack: _Pack, offset: int, limit: int) -> tuple[str, bytes]:
        """The object at `offset`, by way of those that it is a delta of."""
        deltas: dict[int, bytes] = {}
        inflated_bytes = 0
        most, first = limit, offset
        while (cached := self._cached_object(pack, offset)) is None:
            head = pack.head(offset)
            size = head.size if head.base is None else pack.delta_size(head)
            if size > most:
                raise TooLarge(f"it has {size} bytes, over {limit}" if not deltas else _HUGE_BASE)
            if head.base is None:
                cached = _KINDS[head.kind], pack.inflate(head)
                self._keep(pack, offset, cached)
                break
            inflated_bytes += head.size
            if inflated_bytes > MOST_BYTES:
                raise TooLarge(_HUGE_BASE)
            if len(deltas) == _USUAL_CHAIN:
                self._need_shallow(pack, first)
            deltas[offset] = pack.inflate(head)
            offset, most = head.base, MOST_BYTES
            if offset in deltas:
                raise BadObject("it is a delta of itself")
        kind, content = cached
        if not deltas and len(content) > limit:
            raise TooLarge(f"it has {len(content)} bytes, over {limit}")
        from dulwich.pack import apply_delta

        for offset, delta in reversed(deltas.items()):
            content = b"".join(apply_delta(content, delta))
            self._keep(pack, offset, (kind, content))
        return kind, content

    def _need_shallow(self, pack: _Pack, offset: int) -> None:
        """Raise BadObject where more than `_LONGEST_CHAIN` deltas lead to the object at `offset`.

        Only heads are read. Of a longer chain twice as many are, which tells of the first half of them that
        too many lead to each, so that time stays in proportion to the objects.
        """
        if len(self._depths) > _MOST_DEPTHS:
            self._depths.clear()
        way: dict[int, None] = {}
        while (pack.name, offset) not in self._depths and len(way) < 2 * _LONGEST_CHAIN:
            base = pack.head(offset).base
            if base is None:
                self._depths[pack.name, offset] = 0
            elif base in way or base == offset:
                raise BadObject("it is a delta of itself")
            else:
                way[offset] = None
                offset = base
        places = list(way)
        if (pack.name, offset) in self._depths:
            depth = self._depths[pack.name, offset]
        else:
            depth, places = _LONGEST_CHAIN, places[:_LONGEST_CHAIN]
        for place in reversed(places):
            depth += 1
            self._depths[pack.name, place] = depth
        if depth > _LONGEST_CHAIN:
            raise BadObject(f"over {_LONGEST_CHAIN} deltas lead to it; run `git repack -a -d -f`")

    def _cached_object(self, pack: _Pack, offset: int) -> tuple[str, bytes] | None:
        found = self._cache.get((pack.name, offset))
        if found is not None:
            self._cache.move_to_end((pack.name, offset))
        return found

    def _keep(self, pack: _Pack, offset: int, found: tuple[str, bytes]) -> None:
        if len(found[1]) > _CACHE_BYTES // 8:
            return
        self._cache[pack.name, offset] = found
        self._cached += len(found[1]) + 100
        while self._cached > _CACHE_BYTES:
            _, (_, content) = self._cache.popitem(last=False)
            self._cached -= len(content) + 100


_HUGE_BASE = f"it is a delta of objects of over {MOST_BYTES} bytes"


@contextmanager
def _unpacking(oid: bytes) -> Iterator[None]:
    """Tell whatever is wrong with an object as BadObject with its id."""
    from dulwich.errors import ApplyDeltaError

    try:
        yield
    except BadObject as error:
        raise type(error)(f"object {oid.hex()}: {error}") from error
    except (zlib.error, ApplyDeltaError, *_UNSOUND) as error:
        raise BadObject(f"object {oid.hex()}: it cannot be unpacked ({error})") from error


class _Head:
    """What stands before an object's compressed bytes. `size`: what these unpack to; `base`: the offset of
    what it is a delta of; `start`: where they begin."""

    __slots__ = ("base", "kind", "size", "start")

    def __init__(self, kind: int, size: int, base: int | None, start: int) -> None:
        self.kind, self.size, self.base, self.start = kind, size, base, start


class _Pack:
    """One pack and its index."""

    def __init__(self, index: Path) -> None:
        from dulwich.object_format import SHA1
        from dulwich.pack import load_pack_index

        self.name = index.name
        try:
            self._index: PackIndex = load_pack_index(index, SHA1)
        except _UNSOUND as error:
            raise BadObject(f"{index}: no index of a pack ({error}); run `git index-pack` on it") from error
        try:
            self._file = index.with_suffix(".pack").open("rb")
        except OSError:
            self._index.close()
            raise

    def close(self) -> None:
        self._index.close()
        self._file.close()

    def offset(self, oid: bytes) -> int | None:
        from dulwich.objects import RawObjectID

        try:
            return self._index.object_offset(RawObjectID(oid))
        except KeyError:
            return None

    def _at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def head(self, offset: int) -> _Head:
        """The head of the object at `offset`. Raises BadObject, IndexError."""
        data = self._at(offset, _HEAD)
        byte = data[0]
        kind, size, shift, at = byte >> 4 & 7, byte & 15, 4, 1
        while byte & 128:
            byte = data[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
        base: int | None = None
        if kind == _OFFSET_DELTA:
            byte = data[at]
            back, at = byte & 127, at + 1
            while byte & 128:
                byte = data[at]
                back, at = ((back + 1) << 7) | (byte & 127), at + 1
            if not 0 < back <= offset:
                raise BadObject("it is a delta of nothing before it")
            base = offset - back
        elif kind == _ID_DELTA:
            base = self.offset(data[at : at + 20])
            at += 20
            if base is None:
                raise MissingObject("what it is a delta of is not in its pack")
        elif kind not in _KINDS:
            raise BadObject(f"its kind is {kind}")
        return _Head(kind, size, base, offset + at)

    def inflate(self, head: _Head) -> bytes:
        """The bytes of an object, or of a delta, of which no more than its size are held."""
        at = head.start

        def more(length: int) -> bytes:
            nonlocal at
            data = self._at(at, length)
            at += len(data)
            return data

        return _inflated(zlib.decompressobj(), more, head.size, b"")

    def delta_size(self, head: _Head) -> int:
        """Bytes of what a delta makes, from its first ones. Raises IndexError."""
        inflater = zlib.decompressobj()
        start, place = b"", head.start
        while len(start) < 20 and not inflater.eof and (data := self._at(place, _BEGINNING)):
            start += inflater.decompress(data)
            place += len(data)
        at = 0
        while start[at] & 128:
            at += 1
        size, shift = 0, 0
        for byte in start[at + 1 :]:
            size |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return size
        raise IndexError("a delta without a size")


def _inflated(
    inflater: zlib._Decompress, more: Callable[[int], bytes], size: int, compressed: bytes, begun: bytes = b""
) -> bytes:
    """`begun` and what follows it in a stream, `size` bytes in all. Raises BadObject, zlib.error."""
    parts = [begun]
    left = size - len(begun)
    while left >= 0 and not inflater.eof:
        compressed = compressed or more(_PIECE)
        if not compressed:
            raise BadObject("its compressed bytes are cut")
        part = inflater.decompress(compressed, left + 1)
        left -= len(part)
        parts.append(part)
        compressed = inflater.unconsumed_tail
    if left:
        raise BadObject(f"it does not have the {size} bytes that its head states")
    return b"".join(parts)
