"""Repeated lines and paragraphs of each document, or of the parts of a large one. Word n-grams: `ngrams`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.first_places import first_place, table_size
from corpusmill.pipelines.text.kernels.key_sets import enter
from corpusmill.pipelines.text.kernels.lines import REPEATS, past_white_space, span_key, without_white_space
from corpusmill.pipelines.text.kernels.memory import address
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.mixing import GOLDEN
from corpusmill.pipelines.text.views import Lines, Texts

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Table = npt.NDArray[np.uint16]


class RepetitionCounts(NamedTuple):
    """Each int64[n], one number a document. A piece is repeated where it equals an earlier one."""

    characters: Counts
    """All code points of the document."""
    lines: Counts
    """Pieces between runs of line feeds, also the empty ones before a leading and behind a trailing run."""
    repeated_lines: Counts
    repeated_line_characters: Counts
    paragraphs: Counts
    """The same between runs of two or more, of the document without its outer white space."""
    repeated_paragraphs: Counts
    repeated_paragraph_characters: Counts


class Paragraph(NamedTuple):
    """A paragraph as far as it is read."""

    key: Any
    """uint64: of its lines."""
    characters: int
    lines: int


@compiled
def repetition_counts(texts: Texts, lines: Lines) -> RepetitionCounts:
    """What is counted in each document."""
    n = len(texts.starts)
    table, begin = address(texts.table), address(texts.data)
    found = np.zeros((7, n), np.int64)
    most = 0
    for i in range(n):
        most = max(most, lines.lasts[i] - lines.firsts[i] + 1)
    keys, lengths = np.empty(most, np.uint64), np.empty(most, np.int64)
    slots = np.empty(table_size(most), np.uint64)
    for i in range(n):
        first, last = lines.firsts[i], lines.lasts[i]
        start, end = texts.starts[i], texts.ends[i]
        characters = pieces = repeated = repeated_characters = 0
        for line in range(first, last):
            length = lines.characters[line]
            characters += length + (lines.stops[line] < end)
            if length:
                pieces += 1
                if lines.flags[line] & REPEATS:
                    repeated += 1
                    repeated_characters += length
        leading = first < last and lines.stops[first] == start
        trailing = first < last and lines.stops[last - 1] < end
        pieces += leading + trailing if first < last else 1
        found[0, i] = characters
        found[1, i], found[2, i], found[3, i] = pieces, repeated + (leading and trailing), repeated_characters
        left = past_white_space(table, begin + start, begin + end)
        right = without_white_space(table, left, begin + end)
        paragraph = Paragraph(np.uint64(0), 0, 0)
        pieces, paragraph = _paragraphs(lines, begin, first, last, left, right, paragraph, keys, lengths)
        if paragraph.lines or pieces == 0:
            keys[pieces], lengths[pieces] = _paragraph_key(paragraph), paragraph.characters
            pieces += 1
        size = table_size(pieces)
        slots[:size] = 0
        repeated = repeated_characters = 0
        for p in range(pieces):
            if first_place(slots, size - 1, keys, p, keys[p]) < p:
                repeated += 1
                repeated_characters += lengths[p]
        found[4, i], found[5, i], found[6, i] = pieces, repeated, repeated_characters
    return RepetitionCounts(found[0], found[1], found[2], found[3], found[4], found[5], found[6])


@forced
def _paragraph_key(paragraph: Paragraph) -> Any:
    return mix(paragraph.key + np.uint64(paragraph.lines))


@compiled
def _paragraphs(
    lines: Lines,
    begin: int,
    first: int,
    last: int,
    left: int,
    right: int,
    paragraph: Paragraph,
    keys: Any,
    lengths: Counts,
) -> tuple[int, Paragraph]:
    """Keys and code points of the paragraphs that end before line `last` of what stands between two
    addresses; returns their number, and the paragraph begun, as it was before line `first` in `paragraph`.

    What does not start or end with white space has no empty paragraph, unless it is empty itself.
    """
    pieces = 0
    key, length, many = paragraph.key, paragraph.characters, paragraph.lines
    for line in range(first, last):
        start, stop = begin + lines.starts[line], begin + lines.stops[line]
        if stop <= left or start >= right:
            continue
        if start == stop:
            if many:
                keys[pieces], lengths[pieces] = mix(key + np.uint64(many)), length
                pieces += 1
                key, length, many = np.uint64(0), 0, 0
            continue
        line_key, characters = lines.keys[line], lines.characters[line]
        if start < left or stop > right:
            line_key, characters = span_key(max(start, left), min(stop, right))
        key = mix(key * GOLDEN + line_key)
        length += characters + (1 if many else 0)
        many += 1
    return pieces, Paragraph(key, length, many)


@compiled
def trimmed(table: Table, data: Bytes, start: int, end: int) -> tuple[int, int]:
    """Where the bytes `data[start:end]` begin and end without their outer white space."""
    begin = address(data)
    left = past_white_space(address(table), begin + start, begin + end)
    return left - begin, without_white_space(address(table), left, begin + end) - begin


@compiled
def part_counts(
    texts: Texts, lines: Lines, left: int, right: int, begun: Paragraph, seen: Hashes, ends: bool
) -> tuple[Counts, Paragraph, int]:
    """What is counted in some lines of a large document, all of `lines`: int64[7], as `RepetitionCounts`.

    `left` and `right`: what is left of the document without its outer white space. `begun` is the paragraph
    begun before these lines; that begun in them is returned, or ends where the document `ends`. `seen`: the
    keys of paragraphs before, with room for one more than there are lines (`key_sets`); returns, too, how
    many were new.
    """
    found = np.zeros(7, np.int64)
    first, last, begin = lines.firsts[0], lines.lasts[0], address(texts.data)
    for line in range(first, last):
        length = lines.characters[line]
        found[0] += length + (lines.stops[line] < texts.ends[0])
        if length:
            found[1] += 1
            if lines.flags[line] & REPEATS:
                found[2] += 1
                found[3] += length
    keys, lengths = np.empty(last - first + 1, np.uint64), np.empty(last - first + 1, np.int64)
    pieces, begun = _paragraphs(lines, begin, first, last, begin + left, begin + right, begun, keys, lengths)
    if ends and begun.lines:
        keys[pieces], lengths[pieces] = _paragraph_key(begun), begun.characters
        pieces += 1
    new = 0
    for p in range(pieces):
        if enter(seen, keys[p]):
            found[5] += 1
            found[6] += lengths[p]
        else:
            new += 1
    found[4] = pieces
    return found, begun, new
