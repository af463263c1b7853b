"""From record boundaries to splits of about `split_bytes`, with damage cut out."""

from __future__ import annotations

from collections import deque

from corpusmill.pipelines.sources.framing.byte_stream import Hint
from corpusmill.pipelines.sources.reader import Split

# Reading a split that begins inside a compressed frame decompresses the frame from its start. With at most
# this many splits a frame, skipping costs at most half as many decompressions of the frame in all.
SPLITS_PER_FRAME = 16

# Boundaries remembered, about one every so many bytes, to go back to where the end of a frame that turns out
# to be cut is not trusted.
NOTE_EVERY = 2**16
NOTES = 2**12


class RangeBuilder:
    """Collects boundaries in order and gives splits.

    Splits are ranges of uncompressed positions that begin and end at record boundaries; `Split.hint` is
    where to open the file. Targets double inside a frame that would have more than 2 * `SPLITS_PER_FRAME`
    splits, so memory and work stay bounded for one huge gzip member as well.
    """

    def __init__(self, split_bytes: int) -> None:
        self._aim = split_bytes
        self._target = split_bytes
        self._splits: list[Split] = []
        self._open: tuple[int, Hint] | None = None  # start and hint of the range being built
        self._last = 0  # the last boundary
        self._frame: Hint | None = None
        self._notes: deque[int] = deque(maxlen=NOTES)
        self._safe = 0  # the last boundary that no later failure of the current frame can take back

    def boundary(self, position: int, hint: Hint) -> None:
        """A record may start here, in the frame of `hint`; everything before it was framed soundly."""
        if self._open is None:
            self._open = (position, hint)
            self._last = self._safe = position
            self._frame = hint
            return
        self.reached(position, hint)
        if position - self._open[0] >= self._target:
            self._cut(position, hint)

    def reached(self, position: int, hint: Hint) -> None:
        """Records are whole up to here, but where the next one starts is not known yet.

        `hint` is the frame of the last byte read. Said before looking further, so that damage met while
        looking costs none of them.
        """
        if hint != self._frame:
            # a boundary strictly inside a new frame depends on that frame; the one before it does not
            self._safe = position if position == hint[1] else self._last
            self._frame = hint
        self._last = position
        if not self._notes or position - self._notes[-1] >= NOTE_EVERY:
            self._notes.append(position)

    def _cut(self, position: int, hint: Hint | None) -> None:
        assert self._open is not None
        start, opened = self._open
        if position > start:
            self._splits.append(Split(start, position, position - start, opened))
            self._thin(opened)
        self._open = None if hint is None else (position, hint)
        if hint is not None and hint != opened:
            self._target = self._aim

    def _thin(self, hint: Hint) -> None:
        first = len(self._splits)
        while first and self._splits[first - 1].hint == hint and not self._splits[first - 1].fault:
            first -= 1
        same = self._splits[first:]
        if len(same) < 2 * SPLITS_PER_FRAME:
            return
        merged = [
            Split(a.start, b.end, b.end - a.start, hint) for a, b in zip(same[::2], same[1::2], strict=True)
        ]
        self._splits[first:] = merged
        self._target *= 2

    def finish(self, position: int) -> None:
        """The last range ends here, soundly."""
        if self._open is not None:
            self._cut(position, None)

    def damage(self, sound: int, size: int, fault: str, *, boundary: bool = False) -> int:
        """The framing breaks: only records that end at or before `sound` stand; `size` bytes are a fault.

        `boundary`: `sound` is itself known to be where a record starts. Returns the fault's position.
        """
        if boundary:
            end = sound
        else:
            end = self._last if self._last <= sound else self._safe
            end = max([end, *(note for note in self._notes if note <= sound)])
        if self._open is not None:
            self._cut(max(end, self._open[0]), None)
        while self._splits and not self._splits[-1].fault and self._splits[-1].start >= end:
            self._splits.pop()
        if self._splits and not self._splits[-1].fault and self._splits[-1].end > end:
            last = self._splits.pop()
            self._splits.append(Split(last.start, end, end - last.start, last.hint))
        self._splits.append(Split(end, end + size, size, (), fault))
        self._open = None
        self._frame = None
        self._notes.clear()
        self._last = self._safe = end + size
        return end

    def splits(self) -> list[Split]:
        """All splits in file order."""
        return self._splits
