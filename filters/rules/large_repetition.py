"""Repeated lines and paragraphs of a large document, read in parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.repetition import Paragraph, part_counts, trimmed
from corpusmill.pipelines.text.kernels.key_sets import no_keys, with_room
from corpusmill.pipelines.text.large_texts import LargeText

_FEED = 0x0A


def large_counts(text: LargeText) -> npt.NDArray[np.int64]:
    """int64[7]: what `repetition.repetition_counts` counts of the document.

    Memory beside the text: that of a part, and 12 to 24 bytes a distinct line and a distinct paragraph.
    """
    table, data, start, end = text.texts.table, text.texts.data, text.start, text.end
    left, right = trimmed(table, data, start, end)
    found, begun = np.zeros(7, np.int64), Paragraph(np.uint64(0), 0, 0)
    seen, entered = no_keys(), 0
    for texts, _, lines in text.lines():
        seen = with_room(seen, entered, int(lines.lasts[0]) + 1)
        ends = int(texts.ends[0]) == end
        counts, begun, new = part_counts(texts, lines, left, right, begun, seen, ends)
        found += counts
        entered += new
        begun = begun._replace(key=np.uint64(begun.key))
    leading, trailing = data[start] == _FEED, data[end - 1] == _FEED
    found[1] += int(leading) + int(trailing)  # the empty pieces at the ends
    found[2] += int(leading and trailing)
    found[4] += found[4] == 0  # the empty paragraph of white space alone
    return found
