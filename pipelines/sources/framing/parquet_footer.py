"""Proof of a Parquet file's footer, and its row groups as splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.reader import Split
from corpusmill.pipelines.storage.objects.lazy import for_library, open_exactly

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
_PIECE = 2**20
MAX_NESTING = 64  # levels of lists, structs and maps in one column
# A row group of more rows than this has to have stored at least a byte for so many of them.
ROWS_LEAST = 100_000
ROWS_PER_BYTE = 64


def index_row_groups(path: Path, split_bytes: int) -> list[Split]:
    """Splits of whole row groups of about `split_bytes` uncompressed; one fault for an unsound footer."""
    try:
        metadata = read_footer(path)
    except Damage as damage:
        return [Split(0, 0, path.stat().st_size, (), damage.fault)]
    splits: list[Split] = []
    start = size = 0
    for group in range(metadata.num_row_groups):
        fault = _too_many_rows(metadata, group)
        if fault is not None:
            if group > start:
                splits.append(Split(start, group, size))
            splits.append(Split(group, group + 1, metadata.row_group(group).total_byte_size, (), fault))
            start, size = group + 1, 0
            continue
        size += metadata.row_group(group).total_byte_size
        if size >= split_bytes or group + 1 == metadata.num_row_groups:
            splits.append(Split(start, group + 1, size))
            start, size = group + 1, 0
    return splits


def chunk_ranges(group: pq.RowGroupMetaData) -> Iterator[tuple[int, int]]:
    """Where each column chunk of a row group begins and ends in its file, in bytes."""
    for position in range(group.num_columns if group.num_rows else 0):
        chunk = group.column(position)
        start = chunk.data_page_offset
        if chunk.dictionary_page_offset:  # some writers put 0 for none
            start = min(start, chunk.dictionary_page_offset)
        yield start, start + chunk.total_compressed_size


def data_end(file: BinaryIO) -> int:
    """Where the footer begins, of a file whose footer was read before."""
    size = file.seek(-8, 2) + 8
    return size - 8 - int.from_bytes(file.read(4), "little")


def footer_bytes(path: Path) -> bytes:
    """A file from its footer on, whose footer was read before."""
    with open_exactly(path) as file:
        file.seek(data_end(file))
        return file.read()


def metadata_in(footer: bytes) -> pq.FileMetaData:
    """The metadata of what `footer_bytes` gave."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_metadata(pa.BufferReader(MAGIC + footer))


def _too_many_rows(metadata: pq.FileMetaData, group: int) -> str | None:
    """Why a row group has more rows than its bytes can tell apart: each would be counted one by one."""
    facts = metadata.row_group(group)
    stored = sum(facts.column(position).total_compressed_size for position in range(facts.num_columns))
    if facts.num_rows <= ROWS_LEAST or facts.num_rows <= ROWS_PER_BYTE * stored:
        return None
    return (
        f"row group {group}: {facts.num_rows} rows in {stored} bytes, over {ROWS_PER_BYTE} a byte, are no "
        "documents; leave the file out"
    )


def _nesting(schema: pa.Schema) -> int:
    """Levels of nested types, 1 for flat columns; without recursion."""
    deepest = 0
    todo = [(field.type, 1) for field in schema]
    while todo:
        kind, depth = todo.pop()
        deepest = max(deepest, depth)
        todo += [(kind.field(place).type, depth + 1) for place in range(kind.num_fields)]
    return deepest


def read_footer(path: Path) -> pq.FileMetaData:
    """The footer's metadata. Raises Damage where the file is cut or the footer contradicts it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if tail[4:] == b"PARE" and head == b"PARE":
        raise Damage(0, "the footer is encrypted", "write the file without encryption")
    if head != MAGIC:
        raise Damage(0, f"the file begins with {head!r} and not with {MAGIC!r}", cut=size < 4)
    if size < 12 or tail[4:] != MAGIC:
        cause = "the file does not end as a Parquet file does: it was cut or is still being written"
        raise Damage(size, cause, "fetch, copy or write the file again", cut=True)
    length = int.from_bytes(tail[:4], "little")
    footer = size - 8 - length
    if footer < 4:
        raise Damage(size - 8, f"a footer of {length} bytes does not fit in a file of {size}")
    try:
        metadata = pq.read_metadata(for_library(path))
        nesting = _nesting(metadata.schema.to_arrow_schema())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damage(footer, f"the footer cannot be read ({str(error).splitlines()[0][:200]})") from error
    if nesting > MAX_NESTING:
        raise Damage(footer, f"columns nested over {MAX_NESTING} levels deep", "write them flat, or as JSON")
    rows, last = 0, len(MAGIC)
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        rows += group.num_rows
        for start, end in chunk_ranges(group):
            if start < 4 or end < start or end > footer:
                cause = f"row group {index} says it has a column at bytes {start} to {end}"
                raise Damage(footer, f"{cause}, outside the file's data")
            last = max(last, end)
    if rows != metadata.num_rows:
        raise Damage(footer, f"the footer counts {metadata.num_rows} rows, its row groups {rows}")
    joined = _find(path, 2 * MAGIC, last, footer)
    if joined is not None:
        raise Damage(joined, "another file begins here", "cut the file into those that were joined")
    return metadata


def _find(path: Path, wanted: bytes, start: int, end: int) -> int | None:
    """Where `wanted` stands between two bytes of a file; None where it does not. Memory: a piece."""
    with path.open("rb") as file:
        file.seek(start)
        earlier, at = b"", start
        while at < end and (piece := file.read(min(_PIECE, end - at))):
            found = (earlier + piece).find(wanted)
            if found >= 0:
                return at - len(earlier) + found
            at += len(piece)
            earlier = (earlier + piece)[1 - len(wanted) :]
    return None
