"""Plain, gzip, zstd, bzip2 and xz files as one stream of pieces, in which every frame is proved whole.

Python's gzip reader and zstandard's stream reader give a short stream where a file is cut between frames
or (zstandard) anywhere at all. Here every gzip member and zstd frame must reach its end with its checksum
agreeing, else `Damage` is raised. Output is bounded by `PIECE_BYTES` a step (zstd: two blocks, 256 KiB), so
a decompression bomb costs time and not memory.

A frame is a gzip member, a zstd frame, a bzip2 or an xz stream; reading can begin at any frame. A plain file
is seekable everywhere. Positions: `stored` counts bytes of the file, `start` of the uncompressed stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.frames import PIECE_BYTES, Piece, Stored, Trusted, no_frame
from corpusmill.pipelines.sources.framing.zstd_dictionaries import ZSTD_MAGIC, Dictionaries
from corpusmill.pipelines.sources.framing.zstd_frames import skippable, zstd_pieces

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FEED = 2**15  # stored bytes given to the decoder at a time: it copies what lies behind the member's end
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\0"
XZ_MEMORY = 2**28  # what decoding one stream may take; `xz -9` asks for 65 MiB
Compression = Literal["plain", "gzip", "zstd", "bzip2", "xz"]
_NAMED: dict[str, Compression] = {
    **dict.fromkeys((".gz", ".tgz"), "gzip"),
    **dict.fromkeys((".zst", ".zstd"), "zstd"),
    **dict.fromkeys((".bz2", ".tbz2"), "bzip2"),
    **dict.fromkeys((".xz", ".txz"), "xz"),
}
_FOREIGN = {".lz4", ".zip", ".7z", ".lzma", ".br", ".z"}
# The format of a file is told by its first bytes, whatever its name is.
_FOREIGN_MAGIC = {b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip", b"7z\xbc\xaf\x27\x1c": "7z"}


def compression_of(path: Path) -> Compression:
    """How `path` is compressed, by its first bytes, else by its suffix. Raises Damage for .lz4 and so on."""
    with path.open("rb") as file:
        head = file.read(10)
    if head[:2] == GZIP_MAGIC:
        return "gzip"
    if head[:4] == ZSTD_MAGIC or skippable(head):
        return "zstd"
    if head[:3] == BZIP2_MAGIC and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):  # a block, or the end
        return "bzip2"
    if head[:6] == XZ_MAGIC:
        return "xz"
    suffix = path.suffix.lower()
    if suffix in _NAMED:
        return _NAMED[suffix]
    found = next((name for magic, name in _FOREIGN_MAGIC.items() if head.startswith(magic)), None)
    if found is not None or suffix in _FOREIGN:
        cause = f"{found or suffix} compression is not read"
        raise Damage(0, cause, "recompress the file as .zst or .gz")
    return "plain"


def pieces(path: Path, frame: int = 0, start: int = 0, dictionary: bytes | None = None) -> Iterator[Piece]:
    """Uncompressed pieces of `path` from the frame at stored offset `frame`, whose position is `start`.

    `dictionary`: a zstd dictionary that frames may need beside the file's own. Raises Damage where a frame is
    cut, fails its checksum or is followed by bytes that begin no frame.
    """
    kind = compression_of(path)
    with path.open("rb") as file:
        if kind != "plain" and not file.read(1):
            raise Damage(0, f"the file is empty, which is no {kind} data", cut=True)
        known = Dictionaries.of(file, dictionary) if kind == "zstd" else None
        file.seek(frame)
        yield from pieces_of(file, kind, frame, start, known)


def pieces_of(
    file: Stored, kind: Compression, frame: int, start: int, dictionaries: Dictionaries | None
) -> Iterator[Piece]:
    """`pieces` of an open file of a known kind (zstd: with `dictionaries`), which stands at `frame`."""
    if kind == "plain":
        yield from _plain(file, frame, start)
    elif kind == "gzip":
        yield from _gzip(file, frame, start)
    elif kind == "zstd":
        assert dictionaries is not None
        yield from zstd_pieces(file, frame, start, dictionaries)
    else:
        yield from _streams(kind, file, frame, start)


def _plain(file: Stored, stored: int, start: int) -> Iterator[Piece]:
    while data := file.read(PIECE_BYTES):
        yield Piece(data, start, stored, start)
        stored += len(data)
        start += len(data)


def _gzip(file: Stored, stored: int, start: int) -> Iterator[Piece]:
    from isal import isal_zlib  # half the time of zlib

    failure = cast("type[Exception]", isal_zlib.error)  # its stubs call the class an instance
    buffered = b""
    at = 0  # what lies before it in `buffered` was unpacked
    offset = stored  # of the first byte after `buffered`
    while True:
        if len(buffered) - at < 2:
            more = file.read(PIECE_BYTES)
            buffered, at, offset = buffered[at:] + more, 0, offset + len(more)
        if not buffered:
            return
        frame, frame_start = offset - len(buffered) + at, start
        if not GZIP_MAGIC.startswith(buffered[at : at + 2]):
            raise no_frame("gzip", buffered[at : at + 8], frame, start)
        inflater = isal_zlib.decompressobj(wbits=31)
        view = memoryview(buffered)
        ended = False
        trusted = Trusted(start)
        while not inflater.eof:
            if at == len(buffered) and not ended:
                trusted.note(offset, start)
                buffered, at = file.read(PIECE_BYTES), 0
                view = memoryview(buffered)
                offset += len(buffered)
                ended = not buffered
            part = view[at : at + _GZIP_FEED]
            try:
                data = inflater.decompress(part, PIECE_BYTES)
            except failure as error:
                cause = f"corrupt gzip member that begins at byte {frame} ({error})"
                where = offset - len(buffered) + at
                raise Damage(where, cause, sound=frame_start, frame=frame) from error
            at += len(part) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
            elif ended and not inflater.eof:
                cause = f"the file ends inside the gzip member that begins at byte {frame}"
                raise Damage(offset, cause, sound=trusted.until(offset), frame=frame, cut=True)


def _streams(kind: Compression, file: Stored, stored: int, start: int) -> Iterator[Piece]:
    """bzip2 or xz streams, one after the other, as `bzip2` and `xz` read them."""
    import bz2
    import lzma

    magic = BZIP2_MAGIC if kind == "bzip2" else XZ_MAGIC
    buffered = b""
    offset = stored
    while True:
        while len(buffered) < len(magic) and (more := file.read(PIECE_BYTES)):
            buffered, offset = buffered + more, offset + len(more)
        if kind == "xz" and offset - len(buffered) and buffered[:4] == bytes(4):
            buffered = buffered[4:]  # padding between streams, in fours
            continue
        if not buffered:
            return
        frame, frame_start = offset - len(buffered), start
        if not magic.startswith(buffered[: len(magic)]):
            raise no_frame(kind, buffered, frame, start)
        inflater: bz2.BZ2Decompressor | lzma.LZMADecompressor
        if kind == "bzip2":
            inflater = bz2.BZ2Decompressor()
        else:
            inflater = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        trusted = Trusted(start)
        while not inflater.eof:
            if inflater.needs_input and not buffered:
                trusted.note(offset, start)
                buffered = file.read(PIECE_BYTES)
                offset += len(buffered)
                if not buffered:
                    cause = f"the file ends inside the {kind} stream that begins at byte {frame}"
                    raise Damage(offset, cause, sound=trusted.until(offset), frame=frame, cut=True)
            try:
                data = inflater.decompress(buffered, PIECE_BYTES)
            except (lzma.LZMAError, OSError, EOFError, ValueError) as error:
                cause = f"corrupt {kind} stream that begins at byte {frame} ({error})"
                raise Damage(offset - len(buffered), cause, sound=frame_start, frame=frame) from error
            buffered = b""
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
        buffered = inflater.unused_data


def later_frames(
    path: Path, after: int, until: int | None = None, dictionary: bytes | None = None
) -> Iterator[tuple[int, bytes]]:
    """Places after stored offset `after` where a frame seems to begin, with up to 64 bytes of its content.

    For finding one's feet again after a corrupt frame: a candidate has the format's magic number and
    decodes at its start. None begins at `until` or behind it, and none in a file whose dictionary is broken.
    """
    kind = compression_of(path)
    starts = {"gzip": GZIP_MAGIC + b"\x08", "zstd": ZSTD_MAGIC, "bzip2": BZIP2_MAGIC, "xz": XZ_MAGIC}
    magic = starts.get(kind)
    if magic is None:
        return
    with path.open("rb") as file:
        try:
            known = Dictionaries.of(file, dictionary) if kind == "zstd" else None
        except Damage:
            return
        offset = after + 1
        while until is None or offset < until:
            file.seek(offset)
            data = file.read(PIECE_BYTES)
            found = data.find(magic)
            if found < 0:
                if len(data) < PIECE_BYTES:
                    return
                offset += len(data) - len(magic) + 1
                continue
            offset += found
            if until is not None and offset >= until:
                return
            file.seek(offset)
            start = _start_of_frame(pieces_of(file, kind, offset, 0, known), offset)
            if start:
                yield offset, start
            offset += 1


def _start_of_frame(found: Iterator[Piece], offset: int) -> bytes:
    data = b""
    try:
        for piece in found:
            if piece.frame != offset:
                break
            data += piece.data[:64]
            if len(data) >= 64:
                break
    except Damage:
        return b""  # not a frame after all, or a broken one: the search goes on
    return data[:64]
