"""Proof of a Parquet file's footer, and its row groups as splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.reader import Split

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAGIC = b"PAR1"


def index_row_groups(path: Path, split_bytes: int) -> list[Split]:
    """Splits of whole row groups of about `split_bytes` uncompressed; one fault for an unsound footer."""
    try:
        metadata = read_footer(path)
    except Damage as damage:
        return [Split(0, 0, path.stat().st_size, (), damage.fault)]
    splits: list[Split] = []
    start = size = 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= split_bytes or group + 1 == metadata.num_row_groups:
            splits.append(Split(start, group + 1, size))
            start, size = group + 1, 0
    return splits


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
        metadata = pq.read_metadata(path)
        metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damage(footer, f"the footer cannot be read ({str(error).splitlines()[0][:200]})") from error
    rows = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        rows += group.num_rows
        for position in range(group.num_columns if group.num_rows else 0):
            chunk = group.column(position)
            start = chunk.data_page_offset
            if chunk.dictionary_page_offset:  # some writers put 0 for none
                start = min(start, chunk.dictionary_page_offset)
            if start < 4 or chunk.total_compressed_size < 0 or start + chunk.total_compressed_size > footer:
                cause = f"row group {index} says it has a column at bytes {start} to "
                raise Damage(footer, f"{cause}{start + chunk.total_compressed_size}, outside the file's data")
    if rows != metadata.num_rows:
        raise Damage(footer, f"the footer counts {metadata.num_rows} rows, its row groups {rows}")
    return metadata
