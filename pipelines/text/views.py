"""Texts of a batch with their words and lines, as kernels are given them. No array may be written."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Texts(NamedTuple):
    """Text i of n is `data[starts[i]:ends[i]]`, UTF-8 with LF for CR LF, CR, NEL, U+2028 and U+2029."""

    table: npt.NDArray[np.uint16]
    """What every character is: `characters.character_table`."""
    data: npt.NDArray[np.uint8]
    starts: Integers
    ends: Integers


class Words(NamedTuple):
    """The tokens of text i are `firsts[i]` to `lasts[i]` of the other arrays (see `kernels.words`)."""

    firsts: Integers
    lasts: Integers
    hashes: npt.NDArray[np.uint64]
    characters: Integers
    """Code points of each."""
    flags: npt.NDArray[np.uint8]
    """`HAS_LETTER`, `NOT_SYMBOL`."""
    stops: Integers
    """The byte of `Texts.data` behind each."""


class Lines(NamedTuple):
    """The lines of text i, cut at LF, are `firsts[i]` to `lasts[i]` of the other arrays (`kernels.lines`).

    There is none behind a line feed at the end of a text.
    """

    firsts: Integers
    lasts: Integers
    starts: Integers
    """The first byte of each in `Texts.data`."""
    stops: Integers
    """The byte behind each, its line feed left out."""
    characters: Integers
    """Code points of each, its line feed left out."""
    keys: npt.NDArray[np.uint64]
    """`span_key`s: equal for equal lines."""
    flags: npt.NDArray[np.uint8]
    """`BLANK`, `REPEATS`, `BREAKS`."""


class LineRoom(NamedTuple):
    """Room for lines, each array of the same length: what `Lines` says of them."""

    starts: Integers
    stops: Integers
    characters: Integers
    keys: npt.NDArray[np.uint64]
    flags: npt.NDArray[np.uint8]


class Part(NamedTuple):
    """Texts of a batch, or a part of one, with their words and lines."""

    texts: Texts
    words: Words
    lines: Lines
