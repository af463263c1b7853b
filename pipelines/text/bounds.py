"""Words and lines of a batch, found once and shared by all that measure it.

`bounds_of(docs)` belongs to the batch: it goes with every `Documents` made from it while the text stays the
same, with the rows that are kept, and ends with the batch. So of several filters in a row the first one cuts
the texts, and none has to know of the others. Nothing is found before it is asked for. Memory: 25 bytes a
word and 33 a line, and a copy of the text where it holds other line ends than LF. `parts` gives the same with
large texts in parts, whose words and lines are not kept: memory does not grow with them.

Texts are measured with LF for CR LF, CR, NEL (U+0085), U+2028 and U+2029, so that a text has the same scores
whichever of them ends its lines; the documents keep their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.documents import Documents, unwritable
from corpusmill.pipelines.text.characters import character_table
from corpusmill.pipelines.text.large_texts import LARGE, LargeText
from corpusmill.pipelines.text.views import Lines, Part, Texts, Words


class TextBounds:
    """The texts of n documents, and their words and lines once they are asked for."""

    def __init__(self, texts: Texts, words: Words | None = None, lines: Lines | None = None) -> None:
        self.texts = texts
        self._words = words
        self._lines = lines
        self._scripts: npt.NDArray[np.int64] | None = None
        self._ordinary: TextBounds | None = None
        self._counted: dict[int, int] = {}

    @property
    def ordinary(self) -> TextBounds:
        """The same texts, large ones being empty."""
        if self._ordinary is None:
            large = self.texts.ends - self.texts.starts > LARGE
            if not large.any():
                return self
            ends = unwritable(np.where(large, self.texts.starts, self.texts.ends))
            self._ordinary = TextBounds(self.texts._replace(ends=ends))
        return self._ordinary

    @property
    def large(self) -> list[LargeText]:
        """The texts of over `LARGE` bytes."""
        rows = np.flatnonzero(self.texts.ends - self.texts.starts > LARGE)
        return [LargeText(self.texts, int(row), self._counted) for row in rows]

    @property
    def whole(self) -> Part:
        """The texts with all their words and lines."""
        return Part(self.texts, self.words, self.lines)

    def parts(self) -> Iterator[tuple[int, Part]]:
        """Everything once, for what is counted: the row of the first text of a part, and the part.

        Ordinary texts first, large ones being empty; then the words and the lines of each large text: parts
        with words have an empty text and no lines, parts with lines no words. A part is valid until the next
        one is asked for.
        """
        yield 0, self.ordinary.whole
        for text in self.large:
            for part in text.words():
                yield text.row, part
            for part in text.lines():
                yield text.row, part

    def line_parts(self) -> Iterator[tuple[int, Texts, Lines]]:
        """The same without words."""
        some = self.ordinary
        yield 0, some.texts, some.lines
        for text in self.large:
            for part in text.lines():
                yield text.row, part.texts, part.lines

    @property
    def words(self) -> Words:
        """Every token of every text."""
        if self._words is None:
            from corpusmill.pipelines.text.kernels.words import words_of

            bounds, found = words_of(*self.texts)
            self._words = Words(*_views((bounds[:-1], bounds[1:], *found)))
        return self._words

    @property
    def lines(self) -> Lines:
        """Every line of every text."""
        if self._lines is None:
            from corpusmill.pipelines.text.kernels.lines import lines_of

            found = lines_of(*self.texts)
            self._lines = Lines(*_views((found[0][:-1], found[0][1:], *found[1:])))
        return self._lines

    @property
    def scripts(self) -> npt.NDArray[np.int64]:
        """int64[n, len(SCRIPTS)]: letters of each script, of long texts in 2,048 bytes spread over them."""
        if self._scripts is None:
            self._scripts = self.script_counts(2_048)
        return self._scripts

    def script_counts(self, most: int) -> npt.NDArray[np.int64]:
        """As `scripts`, of long texts in `most` bytes."""
        from corpusmill.pipelines.text.kernels.scripts import script_counts
        from corpusmill.pipelines.text.scripts import SCRIPTS, script_table

        return script_counts(self.texts, script_table(), len(SCRIPTS), most)

    def word_counts(self) -> npt.NDArray[np.int64]:
        """int64[n]: the words of each text, which are its tokens that are not made of symbols only."""
        from corpusmill.pipelines.text.kernels.words import count_words

        counts = count_words(self.ordinary.words)
        for text in self.large:
            counts[text.row] = sum(int(count_words(part.words)[0]) for part in text.words())
        return counts

    def token_counts(self) -> npt.NDArray[np.int64]:
        """int64[n]: the tokens of each text."""
        words = self.ordinary.words
        counts = words.lasts - words.firsts
        for text in self.large:
            counts[text.row] = text.word_count()
        return counts

    def rows(self, chosen: npt.NDArray[np.int64]) -> TextBounds:
        """Those of the documents `chosen`, by their numbers; what was found is shared."""
        texts, words, lines = self.texts, self._words, self._lines
        starts, ends = _views((texts.starts[chosen], texts.ends[chosen]))
        if words is not None:
            words = words._replace(
                firsts=unwritable(words.firsts[chosen]), lasts=unwritable(words.lasts[chosen])
            )
        if lines is not None:
            lines = lines._replace(
                firsts=unwritable(lines.firsts[chosen]), lasts=unwritable(lines.lasts[chosen])
            )
        rows = TextBounds(texts._replace(starts=starts, ends=ends), words, lines)
        rows._scripts = None if self._scripts is None else self._scripts[chosen]
        rows._ordinary = None if self._ordinary is None else self._ordinary.rows(chosen)
        rows._counted = self._counted
        return rows


def bounds_of(docs: Documents) -> TextBounds:
    """The bounds of a batch; null is an empty text."""
    return docs.of_text(TextBounds, _bounds)


def _bounds(docs: Documents) -> TextBounds:
    from corpusmill.pipelines.text.kernels.lines import line_feeds, other_line_ends

    offsets, data = docs.utf8()
    starts, ends = _views((offsets[:-1], offsets[1:]))
    if other_line_ends(data, offsets[0], offsets[-1]):
        offsets, data = _views(line_feeds(starts, ends, data))
        starts, ends = offsets[:-1], offsets[1:]
    return TextBounds(Texts(character_table(), data, starts, ends))


def _views(arrays: Iterable[npt.NDArray[Any]]) -> list[Any]:
    """The arrays as kernels take them: compiled code is another for arrays that may be written."""
    return [unwritable(array) for array in arrays]
