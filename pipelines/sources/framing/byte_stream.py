"""A forward-only stream of uncompressed bytes that knows in which frame it stands."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Self

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.decompression import compression_of, pieces
from corpusmill.pipelines.sources.framing.frames import PIECE_BYTES, Piece

Hint = tuple[int, ...]
_STRIDE = 4096  # bytes


@cache
def _either(patterns: tuple[bytes, ...]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(map(re.escape, patterns)))


class ByteStream:
    """Bytes of `path` from `hint`, a (stored offset of a frame, its uncompressed position) pair.

    `dictionary`: a zstd dictionary that frames may need beside the file's own.
    `position` is the uncompressed position of the next byte. Nothing is read ahead of what a call needs,
    so that damage beyond a sound range is never met while that range is read. Every method that reads may
    raise Damage, and does so whenever it comes there again. Memory: what is asked for plus one piece.
    """

    def __init__(self, path: Path, hint: Hint = (0, 0), dictionary: bytes | None = None) -> None:
        self._begin(pieces(path, hint[0], hint[1], dictionary), hint, compression_of(path) == "plain")

    @classmethod
    def over(cls, found: Iterator[Piece], frame: int, *, seekable: bool) -> Self:
        """The bytes of `found`, which begin at stored offset `frame`; their first position is 0."""
        stream = cls.__new__(cls)
        stream._begin(found, (frame, 0), seekable)
        return stream

    def _begin(self, found: Iterator[Piece], hint: Hint, seekable: bool) -> None:
        self.seekable = seekable
        self._pieces = found
        self._buffer = b""
        self._at = 0
        self.position = hint[1]
        self._frames: deque[tuple[int, int]] = deque()  # (stored offset, position) of frames in the buffer
        self._last: tuple[int, int] = (hint[0], hint[1])
        self._damage: Damage | None = None

    def _pull(self) -> bytes | None:
        if self._damage is not None:
            raise self._damage
        try:
            piece = next(self._pieces, None)
        except Damage as damage:
            self._damage = damage
            raise
        if piece is None:
            return None
        frame = (piece.frame, piece.frame_start)
        if not self._frames or self._frames[-1] != frame:
            self._frames.append(frame)
        return piece.data

    def _grow(self) -> bool:
        data = self._pull()
        if data is None:
            return False
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0
        return True

    def hint(self) -> Hint:
        """From where to reopen the file so as to reach `position`; call after `ended()` was false."""
        if self.seekable:
            return (self.position, self.position)
        while len(self._frames) > 1 and self._frames[1][1] <= self.position:
            self._frames.popleft()
        if self._frames:
            self._last = self._frames[0]
        return self._last

    def ended(self) -> bool:
        """Whether no byte is left."""
        return self._at >= len(self._buffer) and not self._grow()

    def peek(self, length: int) -> bytes:
        """The next `length` bytes, fewer at the end, without moving."""
        while len(self._buffer) - self._at < length and self._grow():
            pass
        return self._buffer[self._at : self._at + length]

    def look_ahead(self, length: int) -> tuple[bytes, bool]:
        """The next `length` bytes, fewer before the end or damage, without moving; whether damage cut them.

        The damage is raised when the stream comes to it.
        """
        try:
            return self.peek(length), False
        except Damage:
            return self._buffer[self._at :], True

    def take(self, length: int) -> bytes:
        """The next `length` bytes; fewer only at the end of the file."""
        available = len(self._buffer) - self._at
        if length <= available:
            data = self._buffer[self._at : self._at + length]
            self._at += length
        else:
            parts = [self._buffer[self._at :]]
            self._buffer, self._at = b"", 0
            while available < length and (more := self._pull()) is not None:
                parts.append(more)
                available += len(more)
            if available > length:
                last = parts[-1]
                cut = len(last) - (available - length)
                parts[-1], self._buffer = last[:cut], last[cut:]
            data = b"".join(parts)
        self.position += len(data)
        return data

    def skip(self, length: int) -> int:
        """Pass over `length` bytes without holding them; returns how many there were."""
        left = length
        while True:
            step = min(left, len(self._buffer) - self._at)
            self._at += step
            self.position += step
            left -= step
            if left == 0 or not self._grow():
                return length - left

    def skip_to(self, position: int) -> None:
        """Move forward to `position`. Raises Damage if the file ends before it."""
        wanted = position - self.position
        assert wanted >= 0, "a stream only goes forward"
        if self.skip(wanted) != wanted:
            cause = f"the file ends before position {position}: it changed since it was indexed"
            raise Damage(self.position, cause, "leave input files alone while a run reads them", cut=True)

    def line(self, limit: int) -> bytes:
        """The next line with its newline; at most `limit` bytes of it, and none at the end of the file."""
        newline = self._buffer.find(b"\n", self._at, self._at + limit)
        if newline >= 0:  # most lines stand in the buffer whole
            whole = self._buffer[self._at : newline + 1]
            self._at = newline + 1
            self.position += len(whole)
            return whole
        parts: list[bytes] = []
        while limit > 0 and not self.ended():
            newline = self._buffer.find(b"\n", self._at, self._at + limit)
            parts.append(self.take(min(newline + 1 or len(self._buffer), self._at + limit) - self._at))
            if newline >= 0:
                break
            limit -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek_until(self, mark: bytes, limit: int) -> bytes:
        """The bytes up to `mark` and with it, without moving; none if it is not within `limit` bytes."""
        end = self._buffer.find(mark, self._at, self._at + limit)
        while end < 0 and len(self._buffer) - self._at < limit and self._grow():
            end = self._buffer.find(mark, self._at, self._at + limit)
        return self._buffer[self._at : end + len(mark)] if end >= 0 else b""

    def peek_line(self, limit: int) -> bytes:
        """The next line without its newline and without moving; at most `limit` bytes of it."""
        searched = 0
        while True:
            newline = self._buffer.find(b"\n", self._at + searched, self._at + limit)
            searched = min(len(self._buffer) - self._at, limit)
            if newline >= 0 or searched == limit or not self._grow():
                end = newline if newline >= 0 else self._at + searched
                return self._buffer[self._at : end]

    def skip_all(self, of: bytes, end: int | None = None) -> int:
        """Pass over bytes as long as they are some of `of`, not beyond position `end`; returns how many."""
        passed = 0
        while (end is None or self.position < end) and not self.ended():
            if self._buffer[self._at] not in of:
                break
            most = _STRIDE if end is None else min(_STRIDE, end - self.position)
            seen = self._buffer[self._at : self._at + most]
            left = len(seen.lstrip(of))
            passed += self.skip(len(seen) - left)
            if left:
                break
        return passed

    def find(self, patterns: tuple[bytes, ...]) -> bool:
        """Move forward to the nearest start of one of `patterns`; false (and at the end) without any."""
        overlap = max(map(len, patterns)) - 1
        either = _either(patterns)  # one search for all: each apart would look for the rare over and over
        while True:
            found = either.search(self._buffer, self._at)
            if found is not None:
                self.skip(found.start() - self._at)
                return True
            self.skip(max(0, len(self._buffer) - self._at - overlap))
            if not self._grow():
                self.skip(overlap)
                return False

    def piece(self) -> bytes:
        """Whatever comes next, about `PIECE_BYTES`; none at the end of the file."""
        if self.ended():
            return b""
        return self.take(min(len(self._buffer) - self._at, PIECE_BYTES * 8))
