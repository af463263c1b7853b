"""The frames of a zstd file, each proved to its end."""

from __future__ import annotations

from collections.abc import Iterator

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.frames import PIECE_BYTES, Piece, Stored, Trusted, no_frame
from corpusmill.pipelines.sources.framing.zstd_dictionaries import (
    DICTIONARY_FRAME,
    FRAME_HEAD,
    ZSTD_MAGIC,
    Dictionaries,
)

# Blocks given to zstd at a time; each is at most 128 KiB of output, so a bomb gives 256 KiB at once.
_BLOCKS = 2


def skippable(head: bytes) -> bool:
    """Whether `head` begins a zstd skippable frame (magic 0x184D2A50 to 0x184D2A5F, little-endian)."""
    return len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"


def zstd_pieces(file: Stored, stored: int, start: int, dictionaries: Dictionaries) -> Iterator[Piece]:
    """Pieces of the frames of `file`, which stands at stored offset `stored`. Raises Damage."""
    import zstandard

    buffered = b""
    offset = stored
    while True:
        while len(buffered) < FRAME_HEAD and (more := file.read(PIECE_BYTES)):
            buffered, offset = buffered + more, offset + len(more)
        if not buffered:
            return
        frame, frame_start = offset - len(buffered), start
        if frame and buffered.startswith(DICTIONARY_FRAME):
            dictionaries.pass_second(file, frame, start)
        if skippable(buffered):
            length = int.from_bytes(buffered[4:8], "little") if len(buffered) >= 8 else -1
            while length >= 0 and len(buffered) < 8 + length and (more := file.read(PIECE_BYTES)):
                length -= len(buffered) - 8  # what is already held need not be kept
                buffered, offset = buffered[:8] + more, offset + len(more)
            if length < 0 or len(buffered) < 8 + length:
                cause = f"the file ends inside the skippable zstd frame that begins at byte {frame}"
                raise Damage(offset, cause, sound=start, frame=frame, cut=True)
            buffered = buffered[8 + length :]
            continue
        if not ZSTD_MAGIC.startswith(buffered[:4]):
            raise no_frame("zstd", buffered, frame, start)
        inflater = dictionaries.unpacker(buffered[:FRAME_HEAD], frame, start).decompressobj()
        feed = _Feed(buffered[:FRAME_HEAD])
        fed = 0
        trusted = Trusted(start)
        while not inflater.eof:
            step = feed.step(buffered, fed)
            if step == 0:
                buffered, fed = buffered[fed:], 0
                trusted.note(offset - len(buffered), start)
                more = file.read(PIECE_BYTES)
                if not more:
                    cause = f"the file ends inside the zstd frame that begins at byte {frame}"
                    sound = trusted.until(offset)
                    raise Damage(offset, cause, sound=sound, frame=frame, cut=True)
                buffered, offset = buffered + more, offset + len(more)
                continue
            try:
                data = inflater.decompress(buffered[fed : fed + step])
            except zstandard.ZstdError as error:
                cause = f"corrupt zstd frame that begins at byte {frame} ({error})"
                where = offset - len(buffered) + fed
                raise Damage(where, cause, sound=frame_start, frame=frame) from error
            fed += step
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
        fed -= len(inflater.unused_data)
        buffered = buffered[fed:]


class _Feed:
    """How many bytes of one frame may be given to the decoder at a time, by the heads of its blocks.

    RFC 8878, 3.1.1.2: the head of a block has 3 bytes, little-endian: a bit for the last block, two bits for
    its type (1: one byte, repeated), and its size. What contradicts the format is left to the decoder.
    """

    def __init__(self, head: bytes) -> None:
        import zstandard

        try:
            self._left = int(zstandard.frame_header_size(head))  # bytes before the next head of a block
            self._checksum = 4 if zstandard.get_frame_parameters(head).has_checksum else 0
        except zstandard.ZstdError:  # the decoder refuses the head, or the file ends in it
            self._left, self._checksum = FRAME_HEAD, 0
        self._last = False

    def step(self, buffered: bytes, at: int) -> int:
        """Bytes of `buffered` from `at` on that may be given now; 0 where more must be read before."""
        there = len(buffered) - at
        end, blocks = self._left, 0
        while blocks < _BLOCKS and not self._last and end + 3 <= there:
            head = int.from_bytes(buffered[at + end : at + end + 3], "little")
            end += 3 + (1 if head >> 1 & 3 == 1 else head >> 3)
            blocks += 1
            if head & 1:
                self._last = True
                end += self._checksum
        if end == 0 and self._last:
            end = 1  # the decoder has not ended where the heads of the blocks have
        given = min(end, there)
        self._left = end - given
        return given
