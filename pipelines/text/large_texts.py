"""A large text, read in parts: its words and lines take as much memory as a part, however large it is.

A text of 1 GB has 200 million words. To hold them takes 25 bytes a word, and its lines take 33 each, which of
blank lines is 33 bytes a byte. So they are cut again by every filter that asks, a part at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.documents import unwritable
from corpusmill.pipelines.text.views import LineRoom, Lines, Part, Texts, Words

LARGE = 4 << 20
"""Bytes of text above which a text is large."""
WORDS = 1 << 17
"""Words of a part: 3.3 MB."""
LINES = 1 << 15
"""Lines of a part, whole ones."""


class LargeText:
    """Text `row` of `texts`. What a part gives is valid until the next one is asked for."""

    def __init__(self, texts: Texts, row: int, counted: dict[int, int]) -> None:
        """`counted`: by first byte the words of texts in the same bytes, as far as they were counted."""
        self.texts = texts._replace(
            starts=unwritable(texts.starts[row : row + 1]), ends=unwritable(texts.ends[row : row + 1])
        )
        self.row = row
        self.start, self.end = int(texts.starts[row]), int(texts.ends[row])
        self._counted = counted

    def words(self) -> Iterator[Part]:
        """Its words in order, as those of a batch of one text, which is empty and has no lines."""
        from corpusmill.pipelines.text.kernels.words import new_place, next_words, room_for

        room, place, total = room_for(WORDS), new_place(self.start), 0
        texts = self.texts._replace(ends=self.texts.starts)
        zero = unwritable(np.zeros(1, np.int64))
        no_lines = Lines(zero, zero, *_views(_room_for_lines(0)))
        while place[0] < self.end:
            many = next_words(self.texts.table, self.texts.data, place, self.end, room)
            total += many
            words = Words(zero, unwritable(np.array([many])), *_views(room))
            yield Part(texts, words, no_lines)
        self._counted[self.start] = total

    def word_count(self) -> int:
        """How many words it has: found by one reading, the first time."""
        if self.start not in self._counted:
            for _ in self.words():
                pass
        return self._counted[self.start]

    def lines(self) -> Iterator[Part]:
        """Its lines in order, as those of a batch of one text, which is these lines, without words.

        A line that equals one of an earlier part is marked so: 12 to 24 bytes a distinct line.
        """
        from corpusmill.pipelines.text.kernels.key_sets import no_keys, with_room
        from corpusmill.pipelines.text.kernels.lines import next_lines
        from corpusmill.pipelines.text.kernels.words import room_for

        room, zero = _room_for_lines(LINES), unwritable(np.zeros(1, np.int64))
        no_words = Words(zero, zero, *_views(room_for(0)))
        seen, entered, at = no_keys(), 0, self.start
        while at < self.end:
            seen = with_room(seen, entered, LINES)
            many, follow, new = next_lines(self.texts.table, self.texts.data, at, self.end, seen, room)
            entered += new
            start, end, last = (unwritable(np.array([number])) for number in (at, follow, many))
            lines = Lines(zero, last, *_views(room))
            yield Part(self.texts._replace(starts=start, ends=end), no_words, lines)
            at = follow


def _room_for_lines(size: int) -> LineRoom:
    starts, stops, characters = (np.empty(size, np.int64) for _ in range(3))
    return LineRoom(starts, stops, characters, np.empty(size, np.uint64), np.empty(size, np.uint8))


def _views(arrays: Iterable[npt.NDArray[Any]]) -> list[Any]:
    return [unwritable(array) for array in arrays]
