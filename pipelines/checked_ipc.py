"""Arrow IPC files whose every record batch carries its own checksum.

Arrow's file format has none, and lz4 and zstd frames as Arrow writes them have none either, so a flipped
bit in an intermediate would pass. Batches are read one by one by many tasks, so the checksum belongs to the
batch: the 64-bit XXH3 of its schema and uncompressed serialisation, kept in the batch's own metadata.
Memory: two copies of one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import xxhash

from corpusmill.pipelines.errors import IntegrityError

_KEY = b"xxh3_64"


def _checksum(batch: pa.RecordBatch) -> bytes:
    digest = xxhash.xxh3_64(batch.schema.serialize())
    digest.update(batch.serialize())
    return digest.hexdigest().encode()


def write_batches(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], compression: str = "lz4"
) -> None:
    """Write `batches`, empty ones included, to an IPC file."""
    with ipc.new_file(path, schema, options=ipc.IpcWriteOptions(compression=compression)) as file:
        for batch in batches:
            # A slice may drag bits of its parent along; what was serialised once stays as it is.
            compact = ipc.read_record_batch(batch.serialize(), schema)
            file.write_batch(compact, custom_metadata={_KEY: _checksum(compact)})


def batch_count(path: Path) -> int:
    """Record batches in a file. Raises IntegrityError where it is no IPC file any more."""
    with _opened(path) as reader:
        return int(reader.num_record_batches)


def read_batch(path: Path, index: int) -> pa.RecordBatch:
    """One batch, checked. Raises IntegrityError naming the file, the batch and the cure."""
    with _opened(path) as reader:
        return _checked(path, reader, index)


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Every batch in order, each checked."""
    with _opened(path) as reader:
        for index in range(reader.num_record_batches):
            yield _checked(path, reader, index)


def _checked(path: Path, reader: Any, index: int) -> pa.RecordBatch:
    try:
        batch, metadata = reader.get_batch_with_custom_metadata(index)
        batch.validate()
        sound = metadata is not None and metadata.get(_KEY) == _checksum(batch)
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{path}, batch {index}: {error}; {_CURE}") from error
    if not sound:
        raise IntegrityError(f"{path}, batch {index}: its bytes differ from its checksum; {_CURE}")
    return batch


_CURE = "remove its step's folder and run again"


class _opened:  # noqa: N801  # a context manager, used like a function
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        try:
            self._source = pa.memory_map(str(self._path))
            return ipc.open_file(self._source)
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(f"{self._path}: {error}; {_CURE}") from error

    def __exit__(self, *_: object) -> None:
        self._source.close()
