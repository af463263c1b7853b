"""Arrow IPC files that many tasks read batch by batch, every batch with a checksum of its own.

Arrow's file format has none, and lz4 and zstd frames as Arrow writes them have none either, so a flipped
bit in an intermediate would pass. Hashing a whole file to read one of its batches would multiply the cost
of an exchange by its partitions, so the checksum belongs to the batch. It is the 64-bit XXH3 of three
things: the batch's schema and uncompressed serialisation, its number in the file, and the file's *id*, the
128-bit XXH3 of all its batches. The receipt of the unit holds the id, so `committed_batch` knows a batch
that is sound in itself but of another file, of another version of the file, or from another place in it.
Checksum and id lie in the batch's own metadata: a receipt does not grow with the number of batches, and the
bytes follow from the rows alone. Each batch is serialised twice to write it. Memory: two copies of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import xxhash

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.storage.run_folder import StepFolder

_KEY, _ID = b"xxh3_64", b"file_xxh3_128"


def _content(batch: pa.RecordBatch) -> bytes:
    digest = xxhash.xxh3_128(batch.schema.serialize())
    digest.update(batch.serialize())
    return digest.digest()


def _checksum(content: bytes, file: bytes, index: int) -> bytes:
    return xxhash.xxh3_64_hexdigest(content + file + index.to_bytes(8, "little")).encode()


def compact(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch alone: a slice may drag bits of its parent along; what was serialised once stays as it is."""
    return ipc.read_record_batch(batch.serialize(), schema)


def write_batches(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], compression: str | None = "lz4"
) -> None:
    """Write `batches`, empty ones included, to an IPC file. All of them are in memory at
    once."""
    every = list(batches)
    contents = [_content(compact(batch, schema)) for batch in every]
    file_id = xxhash.xxh3_128_hexdigest(b"".join(contents)).encode()
    with ipc.new_file(path, schema, options=ipc.IpcWriteOptions(compression=compression)) as file:
        for index, (batch, content) in enumerate(zip(every, contents, strict=True)):
            metadata = {_KEY: _checksum(content, file_id, index), _ID: file_id}
            file.write_batch(compact(batch, schema), custom_metadata=metadata)


def batches_id(path: Path) -> str | None:
    """The id of a file that `write_batches` wrote, for its receipt; None for another or one of no batches."""
    try:
        with _opened(path) as reader:
            if reader.num_record_batches == 0:
                return None
            metadata = reader.get_batch_with_custom_metadata(0).custom_metadata
    except (IntegrityError, pa.ArrowException):
        return None  # another kind of file, by whatever name
    return None if metadata is None or _ID not in metadata else str(metadata[_ID].decode())


def committed_batch(step: StepFolder, name: str, index: int) -> pa.RecordBatch:
    """One batch of a complete step's file, the very one that was written there: checked by its receipt.

    Raises IntegrityError naming the file, the batch and the cure.
    """
    entry, path = step.entry(name), step.data / name
    if entry.batches is None:
        raise damaged(f"{path}: the manifest beside it knows no such file of batches")
    return read_batch(path, index, entry.batches)


def check_batches(step: StepFolder, name: str, indexes: Iterable[int]) -> None:
    """Check batches of a complete step's file, each once a process. Raises as `committed_batch`."""
    stat = (step.data / name).stat()
    for index in indexes:
        _check_once(step, name, index, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=2**16)
def _check_once(step: StepFolder, name: str, index: int, stamp: tuple[int, int, int]) -> None:
    committed_batch(step, name, index)


def batch_count(path: Path) -> int:
    """Record batches in a file. Raises IntegrityError where it is no IPC file any more."""
    with _opened(path) as reader:
        return int(reader.num_record_batches)


def read_batch(path: Path, index: int, file_id: str | None = None) -> pa.RecordBatch:
    """One batch, checked: of the file `file_id`, or (None) of whichever file this is.

    Raises IntegrityError naming the file, the batch and the cure.
    """
    with _opened(path) as reader:
        return _checked(path, reader, index, file_id)


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Every batch in order, each checked against itself."""
    with _opened(path) as reader:
        for index in range(reader.num_record_batches):
            yield _checked(path, reader, index, None)


def _checked(path: Path, reader: Any, index: int, file_id: str | None) -> pa.RecordBatch:
    try:
        batch, metadata = reader.get_batch_with_custom_metadata(index)
        batch.validate()
        found = (metadata or {}).get(_ID, b"")
        sound = metadata is not None and metadata.get(_KEY) == _checksum(_content(batch), found, index)
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise damaged(f"{path}, batch {index}: {error}") from error
    if not sound:
        raise damaged(f"{path}, batch {index}: its bytes differ from its checksum")
    if file_id is not None and found != file_id.encode():
        raise damaged(f"{path}, batch {index}: it is a batch of another file")
    return batch


class _opened:  # noqa: N801  # a context manager, used like a function
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        try:
            self._source = pa.memory_map(str(self._path))
            return ipc.open_file(self._source)
        except (OSError, pa.ArrowException) as error:
            raise damaged(f"{self._path}: {error}") from error

    def __exit__(self, *_: object) -> None:
        self._source.close()
