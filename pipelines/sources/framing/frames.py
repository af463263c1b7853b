"""What decoders of compressed files share: pieces of a frame, and how far a frame that is cut is trusted."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from corpusmill.pipelines.sources.framing.damage import Damage

PIECE_BYTES = 2**17
# Where a file ends inside a frame, what was decoded from this many last stored bytes is not trusted: a
# changed bit there can make the decoder run past the frame's true end and look like a cut. Beyond that
# distance a decoder out of step has long met something impossible.
GUARD_BYTES = 2**18


class Stored(Protocol):
    """An open file of stored bytes, or a part of one, as decoders use it."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> int: ...

    def tell(self) -> int: ...


class Piece(NamedTuple):
    """Consecutive uncompressed bytes of one frame.

    `start`: position of `data[0]` in the uncompressed stream; `frame`, `frame_start`: stored offset and
    uncompressed position of the frame's first byte.
    """

    data: bytes
    start: int
    frame: int
    frame_start: int


def no_frame(kind: str, first_bytes: bytes, frame: int, start: int) -> Damage:
    if frame:
        cause = f"bytes after the last {kind} frame begin none ({first_bytes[:8]!r})"
    else:
        cause = f"the file begins with {first_bytes[:8]!r}, which is no {kind} data"
    return Damage(frame, cause, sound=start, frame=frame)


class Trusted:
    """How far a frame that turns out to be cut may be trusted; see `GUARD_BYTES`."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._notes: deque[tuple[int, int]] = deque(maxlen=2 + GUARD_BYTES // PIECE_BYTES)

    def note(self, offset: int, position: int) -> None:
        """All stored bytes before `offset` were decoded; they gave what lies before `position`."""
        self._notes.append((offset, position))

    def until(self, end: int) -> int:
        """The position to trust when the file ends at stored offset `end`."""
        far = [position for offset, position in self._notes if offset <= end - GUARD_BYTES]
        return max(far, default=self._start)
