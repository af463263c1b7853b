"""Single WARC records by file, offset and length, as indexes name them; nothing else of the files is read."""

from __future__ import annotations

import errno
import io
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from corpusmill.pipelines.sources.framing.archive_index import RecordHead
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import BrokenRecord, Damage
from corpusmill.pipelines.sources.framing.decompression import Compression, compression_of, pieces_of
from corpusmill.pipelines.sources.framing.warc_records import WARC
from corpusmill.pipelines.sources.framing.zstd_dictionaries import Dictionaries

_OPEN_FILES = 32
_PLACES = 4096  # file names whose place is remembered


class RecordFault(Exception):  # noqa: N818  # a fact about an index and its files, as Damage is one about a file
    """No sound record where an index has one: `why`, a short code, and `detail` for people."""

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


class _Window:
    """A file that ends at `end`: what lies behind a record is not read with it."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file = file
        self._end = end

    def read(self, size: int, /) -> bytes:
        return self._file.read(max(0, min(size, self._end - self._file.tell())))

    def seek(self, offset: int, /) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


@dataclass(frozen=True, slots=True)
class _Open:
    file: BinaryIO
    kind: Compression
    dictionaries: Dictionaries | None
    size: int


class WarcFolder:
    """WARC files of one folder, of which a few are open at a time; use as a context.

    `limit`: blocks of more bytes are not held. `dictionary`: a zstd dictionary that frames may need beside
    their file's own.
    """

    def __init__(self, folder: Path, limit: int, dictionary: bytes | None = None) -> None:
        self._folder = folder
        self._limit = limit
        self._dictionary = dictionary
        self._open: OrderedDict[Path, _Open] = OrderedDict()
        self._places: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._open.values():
            opened.file.close()

    def place(self, name: str) -> Path:
        """The file an index calls `name`: by its path below the folder, else by its last part alone.

        A leading `/` means nothing. Raises RecordFault (`missing_file`) where neither is there. Whoever calls
        has refused names with `..`.
        """
        if name not in self._places:
            parts = [part for part in name.split("/") if part not in ("", ".")]
            assert ".." not in parts
            paths = [self._folder.joinpath(*parts), self._folder.joinpath(*parts[-1:])]
            path = next((path for path in paths if _is_file(path)), None)
            if path is None:
                raise RecordFault("missing_file", f"{name} is not in {self._folder}")
            if len(self._places) >= _PLACES:
                self._places.clear()
            self._places[name] = path
        return self._places[name]

    def record(self, name: str, offset: int, length: int | None) -> tuple[RecordHead, bytes | None]:
        """Head and block of the record in the `length` stored bytes from `offset` (None: to its frame's end).

        The block is None where it has more than `limit` bytes. Frames are proved to their ends. Raises
        RecordFault: `missing_file`, or `bad_offset` where no whole record and nothing but it stands there.
        """
        path = self.place(name)
        try:
            opened = self._opened(path)
            if offset + (length or 1) > opened.size:
                cause = f"the file has {opened.size} bytes"
                raise Damage(offset, cause)
            return self._read(opened, offset, length)
        except Damage as damage:
            there = f"in the {length} bytes from byte {offset}" if length else f"at byte {offset}"
            raise RecordFault("bad_offset", f"no whole record {there} of {name}: {damage.cause}") from damage

    def _opened(self, path: Path) -> _Open:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        kind = compression_of(path)
        file = path.open("rb")
        try:
            dictionaries = Dictionaries.of(file, self._dictionary) if kind == "zstd" else None
            opened = _Open(file, kind, dictionaries, file.seek(0, io.SEEK_END))
        except BaseException:
            file.close()
            raise
        self._open[path] = opened
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].file.close()
        return opened

    def _read(self, opened: _Open, offset: int, length: int | None) -> tuple[RecordHead, bytes | None]:
        opened.file.seek(offset)
        file = opened.file if length is None else _Window(opened.file, offset + length)
        found = pieces_of(file, opened.kind, offset, 0, opened.dictionaries)
        stream = ByteStream.over(found, offset, seekable=opened.kind == "plain")
        head = WARC.read_head(stream)
        if head.length > self._limit:
            return head, None
        block = stream.take(head.length)
        if len(block) != head.length:
            raise BrokenRecord(offset, f"it should hold {head.length} bytes, {len(block)} are there")
        if length is not None:
            stream.skip_all(b"\r\n")
            if not stream.ended():
                raise BrokenRecord(offset, "something else follows the record in them")
        elif stream.seekable:
            WARC.close_record(stream, head)
        else:
            _prove_frame(stream)
        return head, block


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _prove_frame(stream: ByteStream) -> None:
    """Read to the end of the frame at hand, where its checksum is compared; the next one is not judged."""
    frame = stream.hint()
    try:
        while not stream.ended() and stream.hint() == frame:
            stream.piece()
    except Damage as damage:
        if damage.frame == frame[0]:
            raise
