"""Proof of the pages of a Parquet row group, from their headers alone, before a library reads them.

Arrow skips a page whose type it does not know and ends a column chunk where a header cannot be read: a
changed bit then loses rows without an error. Checksums cover pages, not their headers. Here every header of
every chunk is read (format: apache/parquet-format, parquet.thrift, in Thrift's compact protocol), pages must
fill their chunk, and the values they count must be those that the footer counts.

Cost: one read of a few hundred bytes a page, no decompression.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from corpusmill.pipelines.sources.framing.parquet_footer import chunk_ranges

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PAGE_BYTES = 2**26  # a page may hold more only where it is not packed tighter than `PAGE_RATIO`
PAGE_RATIO = 64
ROW_VALUES = 2**23  # nested values of one row, on the mean of a row group
_HEADER_PIECE = 2**10
_HEADER_LIMIT = 2**24  # Arrow's own
_NESTED_LIMIT = 16
_SLACK = 100  # chunk sizes of parquet-mr before 1.2.9 leave out the dictionary's header
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


class PageError(ValueError):
    """What is wrong with the pages of a column chunk, and at which byte of the file."""


@dataclass
class _Page:
    """What one header says; `size` is its own length in bytes, counts are -1 where they are missing."""

    size: int
    kind: int = -1
    unpacked: int = -1
    packed: int = -1
    values: int = -1


@dataclass
class Pages:
    """What the headers of one row group say: bytes of all its dictionaries once unpacked."""

    dictionary_bytes: int = field(default=0)


def check_pages(file: BinaryIO, group: pq.RowGroupMetaData, data_end: int, page_bytes: int) -> Pages:
    """Read all page headers of a row group. Raises PageError.

    `data_end`: where the footer begins. `page_bytes`: what one page may hold unpacked, at the least.
    """
    found, ranges = Pages(), list(chunk_ranges(group))
    for position in range(group.num_columns if group.num_rows else 0):
        chunk = group.column(position)
        start, chunk_end = ranges[position]
        end = min(data_end, chunk_end + _SLACK)
        try:
            found.dictionary_bytes += _check_chunk(file, chunk, start, end, max(page_bytes, PAGE_BYTES))
        except PageError as error:
            raise PageError(f"column {chunk.path_in_schema!r}: {error}") from None
        if "." not in chunk.path_in_schema and chunk.num_values != group.num_rows:
            raise PageError(
                f"column {chunk.path_in_schema!r}: it counts {chunk.num_values} values, its row group "
                f"{group.num_rows} rows"
            )
        if chunk.num_values > ROW_VALUES * group.num_rows:
            raise PageError(
                f"column {chunk.path_in_schema!r}: {chunk.num_values} values in {group.num_rows} rows, over "
                f"{ROW_VALUES} a row"
            )
    return found


def _check_chunk(file: BinaryIO, chunk: pq.ColumnChunkMetaData, at: int, end: int, page_bytes: int) -> int:
    """Bytes of the dictionary of one column chunk, whose pages are checked."""
    values = dictionary = pages = 0
    while values < chunk.num_values:
        page = _read_header(file, at, end)
        body = at + page.size
        if page.kind not in (_DATA, _INDEX, _DICTIONARY, _DATA_V2):
            raise PageError(f"byte {at}: a page of the unknown type {page.kind}")
        if page.packed < 0 or page.unpacked < 0 or body + page.packed > end:
            raise PageError(f"byte {at}: a page of {page.packed} bytes does not fit in its column chunk")
        if page.unpacked > page_bytes and page.unpacked > PAGE_RATIO * page.packed:
            raise PageError(
                f"byte {at}: a page of {page.packed} bytes claims to hold {page.unpacked}, over {page_bytes} "
                f"and over {PAGE_RATIO} times as much"
            )
        if page.kind != _INDEX and page.values < 0:
            raise PageError(f"byte {at}: a page header without its count of values")
        if page.kind == _DICTIONARY:
            if pages:
                raise PageError(f"byte {at}: a dictionary page behind other pages")
            dictionary = page.unpacked
        elif page.kind != _INDEX:
            values += page.values
        pages += 1
        at = body + page.packed
    if values != chunk.num_values:
        raise PageError(f"its pages count {values} values, the footer {chunk.num_values}")
    return dictionary


def _read_header(file: BinaryIO, at: int, end: int) -> _Page:
    size = min(_HEADER_PIECE, end - at)
    while size > 0:
        file.seek(at)
        data = file.read(size)
        try:
            return _parse(data)
        except IndexError:
            if size >= min(_HEADER_LIMIT, end - at):
                break
            size = min(16 * size, _HEADER_LIMIT, end - at)
        except ValueError as error:
            raise PageError(f"byte {at}: no page header is there ({error})") from error
    raise PageError(f"byte {at}: the column chunk ends before all its values came")


def _parse(data: bytes) -> _Page:
    """A page header. Raises IndexError where `data` ends inside it, ValueError where it is none."""
    page = _Page(0)
    at = last = 0
    while data[at]:
        last, kind, at = _field(data, at, last)
        if last in (1, 2, 3) and kind == _I32:
            number, at = _integer(data, at)
            name = ("kind", "unpacked", "packed")[last - 1]
            setattr(page, name, number)
        elif last in (5, 7, 8) and kind == _STRUCT:
            page.values, at = _values(data, at)
        else:
            at = _skip(data, at, kind, 0)
    page.size = at + 1
    return page


def _values(data: bytes, at: int) -> tuple[int, int]:
    """The field `num_values`, the first of all three kinds of page, and where its struct ends."""
    values, last = -1, 0
    while data[at]:
        last, kind, at = _field(data, at, last)
        if last == 1 and kind == _I32:
            values, at = _integer(data, at)
        else:
            at = _skip(data, at, kind, 0)
    return values, at + 1


def _field(data: bytes, at: int, last: int) -> tuple[int, int, int]:
    """Number and type of the field at `at`, whose forerunner has number `last`, and where its value is."""
    step, kind = data[at] >> 4, data[at] & 15
    if step:
        return last + step, kind, at + 1
    number, at = _integer(data, at + 1)
    return number, kind, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than 10 bytes")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value of this type ends."""
    if depth > _NESTED_LIMIT:
        raise ValueError("structs nested too deeply")
    if kind in (_TRUE, _FALSE):
        return at
    if kind == _BYTE:
        return at + 1
    if kind in (_I16, _I32, _I64):
        return _varint(data, at)[1]
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        length, at = _varint(data, at)
        return _within(data, at + length)
    if kind in (_LIST, _SET):
        count, inner = data[at] >> 4, data[at] & 15
        at += 1
        if count == 15:
            count, at = _varint(data, at)
        for _ in range(_within(data, count)):
            at = at + 1 if inner in (_TRUE, _FALSE) else _skip(data, at, inner, depth + 1)
        return at
    if kind == _STRUCT:
        last = 0
        while data[at]:
            last, inner, at = _field(data, at, last)
            at = _skip(data, at, inner, depth + 1)
        return at + 1
    raise ValueError(f"a value of type {kind}")


def _within(data: bytes, position: int) -> int:
    """`position` where it is no further than the data; IndexError asks for more of it."""
    if position > len(data):
        raise IndexError
    return position
