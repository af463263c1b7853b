"""Counting pre-tokens in one pass over UTF-8 bytes.

Where a pre-token is longer than `longest` characters, pieces of that many characters are counted instead
(the last one may be shorter). Legend of the table's arrays (slots, arena, used) and of `block`:
`count_table`. Documents are bytes spans[i, 0] to spans[i, 1] (int64[n, 2]) of `data`.

`at` int64[5] is where a kernel stands: document, end of its present pre-token (in `count_ends` its number),
first byte of its next piece, pieces in the block, pieces of the block that are counted. It begins as
`beginning()`. A kernel returns False where the table has no room left; call it again with a larger or an
emptied table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.tokenizer.kernels.count_table import LENGTH, START, count_block, number_block
from corpusmill.tokenizer.kernels.pretokenize import next_end

BLOCK = 4096  # pieces; their numbers stay in the processor's second cache

_DOCUMENT, _PRETOKEN, _PIECE, _FILLED, _COUNTED = range(5)


def beginning() -> Any:
    """`at` before the first document."""
    return np.array([0, 0, -1, 0, 0], np.int64)


def new_block() -> Any:
    """An empty block, uint64[BLOCK, 4]."""
    return np.empty((BLOCK, 4), np.uint64)


@compiled
def _long_piece_end(data: Any, at: int, end: int, longest: int) -> int:
    """Where `longest` characters from `at` end, or `end` where there are no more."""
    characters = 0
    while at < end:
        if data[at] & 0xC0 != 0x80:
            characters += 1
            if characters > longest:
                return at
        at += 1
    return end


@compiled
def _fill_from_text(code: Any, classes: Any, spans: Any, data: Any, longest: int, block: Any, at: Any) -> int:
    """Put the next pieces into `block`; returns how many."""
    document, pretoken_end, piece = at[_DOCUMENT], at[_PRETOKEN], at[_PIECE]
    many = 0
    while document < len(spans):
        if piece < 0:
            piece = pretoken_end = spans[document, 0]
        document_end = spans[document, 1]
        while piece < document_end and many < len(block):
            if piece == pretoken_end:
                pretoken_end = next_end(code, data, piece, document_end, classes)
            stop = pretoken_end
            if stop - piece > longest:
                stop = _long_piece_end(data, piece, stop, longest)
            block[many, START], block[many, LENGTH] = np.uint64(piece), np.uint64(stop - piece)
            many += 1
            piece = stop
        if many == len(block):
            break
        document += 1
        piece = np.int64(-1)
    at[_DOCUMENT], at[_PRETOKEN], at[_PIECE] = document, pretoken_end, piece
    return many


@compiled
def _fill_from_ends(starts: Any, ends: Any, spans: Any, data: Any, longest: int, block: Any, at: Any) -> int:
    """Put the next pieces into `block`; returns how many."""
    document, pretoken, piece = at[_DOCUMENT], at[_PRETOKEN], at[_PIECE]
    many = 0
    while document < len(spans):
        if piece < 0:
            piece = spans[document, 0]
        while pretoken < starts[document + 1] and many < len(block):
            pretoken_end = spans[document, 0] + ends[pretoken]
            stop = pretoken_end
            if stop - piece > longest:
                stop = _long_piece_end(data, piece, stop, longest)
            block[many, START], block[many, LENGTH] = np.uint64(piece), np.uint64(stop - piece)
            many += 1
            piece = stop
            if piece == pretoken_end:
                pretoken += 1
        if many == len(block):
            break
        document += 1
        piece = np.int64(-1)
    at[_DOCUMENT], at[_PRETOKEN], at[_PIECE] = document, pretoken, piece
    return many


@compiled
def _count_filled(slots: Any, arena: Any, used: Any, data: Any, block: Any, at: Any) -> bool:
    """Count what is left of the block; False where the table has no room for all of it."""
    at[_COUNTED] = count_block(slots, arena, used, data, block, at[_COUNTED], at[_FILLED])
    return bool(at[_COUNTED] == at[_FILLED])


@compiled
def count_text(
    slots: Any,
    arena: Any,
    used: Any,
    code: Any,
    classes: Any,
    spans: Any,
    data: Any,
    longest: int,
    block: Any,
    at: Any,
) -> bool:
    """Count the pre-tokens of documents; `code` and `classes` as for `pretokenize.next_end`."""
    while _count_filled(slots, arena, used, data, block, at):
        at[_FILLED] = _fill_from_text(code, classes, spans, data, longest, block, at)
        at[_COUNTED] = 0
        if at[_FILLED] == 0:
            return True
        number_block(data, block, at[_FILLED])
    return False


@compiled
def count_ends(
    slots: Any,
    arena: Any,
    used: Any,
    starts: Any,
    ends: Any,
    spans: Any,
    data: Any,
    longest: int,
    block: Any,
    at: Any,
) -> bool:
    """Count pre-tokens whose ends are known: those of document i are numbers starts[i] to starts[i + 1] - 1.

    starts int64[n + 1]; ends int64[m], bytes from the document's beginning.
    """
    while _count_filled(slots, arena, used, data, block, at):
        at[_FILLED] = _fill_from_ends(starts, ends, spans, data, longest, block, at)
        at[_COUNTED] = 0
        if at[_FILLED] == 0:
            return True
        number_block(data, block, at[_FILLED])
    return False
