"""Arrow IPC files that many tasks read batch by batch, every batch with a checksum of its own.

Arrow's file format has none, and lz4 and zstd frames as Arrow writes them have none either, so a flipped
bit in an intermediate would pass. Hashing a whole file to read one of its batches would multiply the cost
of an exchange by its partitions, so the checksum belongs to the batch: the 128-bit XXH3 of its schema and
uncompressed serialisation. The checksums of all batches, and a number that a writer may give each, such as
its partition, stand in the file's *index*, the metadata of a last, empty batch; with the first and the last
key of batches of which the writer tells them. The 128-bit XXH3 of the index is the file's id, which the
receipt of the unit holds: so a batch is known that is sound in itself but of another file, of another version
of the file, or from another place in it, and so is a number that was altered. A receipt does not grow with
the number of batches, and the bytes follow from the rows alone.
Memory: two copies of one batch, none of one over 32 MiB, and 20 bytes a batch.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc as ipc
import xxhash

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.remote.partly import PartlyFetched
from corpusmill.pipelines.storage.remote.sent_files import AT_ONCE, each
from corpusmill.pipelines.storage.run_folder import StepFolder

Compression = Literal["lz4", "zstd", "fitting"] | None
"""`fitting`: zstd, two thirds of the size of lz4 at three quarters of its speed, but lz4 where batches are
small, since zstd costs 0.2 ms a batch more. The first batch decides."""

_INDEX, _BOUNDS = b"batches", b"bounds"
_LARGE = 2**15  # bytes of a batch
_COPIED = 2**25  # bytes of a batch that is copied at most
_ENTRY = np.dtype([("number", "<u4"), ("checksum", "V16")])
_BOUND = np.dtype([("batch", "<u4"), ("first", "<u8"), ("last", "<u8")])

Keys = npt.NDArray[np.uint64]


def _checksum(batch: pa.RecordBatch) -> bytes:
    if batch.nbytes > _COPIED:
        return _streamed_checksum(batch)
    return _serialised_checksum(batch.schema, batch.serialize())


def _serialised_checksum(schema: pa.Schema, serialised: pa.Buffer) -> bytes:
    digest = xxhash.xxh3_128(schema.serialize())
    digest.update(serialised)
    return digest.digest()


def _streamed_checksum(batch: pa.RecordBatch) -> bytes:
    """The same: a stream begins with the schema and a batch, as they are serialised."""
    sink = _Hashed()
    with ipc.new_stream(pa.PythonFile(sink, mode="w"), batch.schema) as stream:
        stream.write_batch(batch)
        return sink.digest.digest()  # before the end of the stream is written


class _Hashed:
    """A file whose bytes are hashed and forgotten."""

    closed = False

    def __init__(self) -> None:
        self.digest = xxhash.xxh3_128()

    def write(self, data: bytes | pa.Buffer) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


def compact(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch alone: a slice may drag bits of its parent along; what was serialised once stays as it is.
    A large batch is not copied: what is written of it, and its checksum, are those of its copy."""
    if batch.nbytes > _COPIED:
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    return ipc.read_record_batch(batch.serialize(), schema)


class BatchWriter:
    """Writes batches one after the other; use it as a context manager. An exception leaves half a file."""

    def __init__(self, path: Path, schema: pa.Schema, compression: Compression = "fitting") -> None:
        self._path, self._schema, self._compression = path, schema, compression
        self._file: Any = None
        self._entries: list[tuple[int, bytes]] = []
        self._bounds: list[tuple[int, int, int]] = []

    def write(self, batch: pa.RecordBatch, number: int = 0, bounds: tuple[int, int] | None = None) -> int:
        """Write a batch, empty or not; returns its bytes before compression. `number`, below 2^32: what
        `CheckedFile.numbers` gives for it; `bounds`: what `CheckedFile.bounds` does."""
        if batch.nbytes > _COPIED:
            alone = compact(batch, self._schema)
            checksum = _streamed_checksum(alone)
        else:
            serialised = batch.serialize()
            alone = ipc.read_record_batch(serialised, self._schema)
            checksum = _serialised_checksum(self._schema, serialised)
        if bounds is not None:
            self._bounds.append((len(self._entries), *bounds))
        self._entries.append((number, checksum))
        self._opened(alone.nbytes).write_batch(alone)
        return int(alone.nbytes)

    def _opened(self, size: int) -> Any:
        """The file, whose first batch is of this size in bytes."""
        if self._file is None:
            codec = self._compression
            if codec == "fitting":
                codec = "zstd" if size >= _LARGE else "lz4"
            options = ipc.IpcWriteOptions(compression=codec)
            self._file = ipc.new_file(self._path, self._schema, options=options)
        return self._file

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            metadata = {_INDEX: base64.b64encode(np.array(self._entries, _ENTRY).tobytes())}
            if self._bounds:
                metadata[_BOUNDS] = base64.b64encode(np.array(self._bounds, _BOUND).tobytes())
            last = pa.RecordBatch.from_pylist([], schema=self._schema)
            self._opened(0).write_batch(last, custom_metadata=metadata)
        if self._file is not None:
            self._file.close()


def write_batches(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], compression: Compression = "fitting"
) -> None:
    """Write `batches`, empty ones included, to an IPC file, as they come."""
    with BatchWriter(path, schema, compression) as file:
        for batch in batches:
            file.write(batch)


def batches_id(path: Path) -> str | None:
    """The id of a file that `BatchWriter` wrote, for its receipt; None for another."""
    try:
        with CheckedFile(path) as file:
            return file.id
    except IntegrityError:
        return None  # another kind of file, by whatever name


class CheckedFile:
    """A file that `BatchWriter` wrote, mapped into memory: the file `file_id`, or (None) whichever this is.

    `partly`: where it is fetched from as it is read; copies that do not match are fetched again, once. Raises
    IntegrityError naming the file, the batch and the cure.
    """

    def __init__(self, path: Path, file_id: str | None = None, partly: PartlyFetched | None = None) -> None:
        self.path, self._wanted, self._partly = path, file_id, partly

    def __enter__(self) -> CheckedFile:
        try:
            return self._entered()
        except IntegrityError:
            if self._partly is None:
                raise
            self._partly.again()
            return self._entered()

    def _entered(self) -> CheckedFile:
        try:
            self._source = self._opened()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(f"{self.path}: {error}") from error
        try:
            self._reader = ipc.open_file(self._source)
            found, bounds = self._index()
        except (OSError, ValueError, pa.ArrowException) as error:
            self._source.close()
            raise damaged(f"{self.path}: {error}") from error
        self.id = xxhash.xxh3_128_hexdigest(found + bounds)
        if self._wanted is not None and self.id != self._wanted:
            self._source.close()
            raise damaged(f"{self.path}: it is another file, or its index was altered")
        self._entries, self._bounds = np.frombuffer(found, _ENTRY), np.frombuffer(bounds, _BOUND)
        return self

    def _opened(self) -> pa.NativeFile:
        if self._partly is None:
            return pa.memory_map(str(self.path))
        _ = self._partly.blocks  # in one request
        return pa.PythonFile(self._partly, mode="r")

    def _index(self) -> tuple[bytes, bytes]:
        last = self._reader.num_record_batches - 1
        if last < 0:
            raise ValueError("it has no index of its batches")
        batch, metadata = self._reader.get_batch_with_custom_metadata(last)
        if metadata is None or _INDEX not in metadata or batch.num_rows:
            raise ValueError("it has no index of its batches")
        found = base64.b64decode(metadata[_INDEX], validate=True)
        if len(found) != last * _ENTRY.itemsize:
            raise ValueError(f"its index is not of {last} batches")
        bounds = base64.b64decode(metadata.get(_BOUNDS, b""), validate=True)
        if len(bounds) % _BOUND.itemsize or (np.frombuffer(bounds, _BOUND)["batch"] >= last).any():
            raise ValueError(f"its index is not of {last} batches")
        return found, bounds

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def schema(self) -> pa.Schema:
        """The columns; not checked before a batch is."""
        return self._reader.schema

    @property
    def numbers(self) -> npt.NDArray[np.uint32]:
        """The number of each batch, uint32[n]."""
        return np.ascontiguousarray(self._entries["number"])

    @property
    def bounds(self) -> tuple[Keys, Keys]:
        """The least and the greatest key that each batch may have, uint64[n] each."""
        least, greatest = np.zeros(len(self), np.uint64), np.full(len(self), 2**64 - 1, np.uint64)
        least[self._bounds["batch"]] = self._bounds["first"]
        greatest[self._bounds["batch"]] = self._bounds["last"]
        return least, greatest

    def batch(self, index: int) -> pa.RecordBatch:
        """One batch, checked."""
        try:
            return self._batch(index)
        except IntegrityError:
            if self._partly is None:
                raise
            self._partly.again()
            return self._batch(index)

    def _batch(self, index: int) -> pa.RecordBatch:
        try:
            if not 0 <= index < len(self):
                raise IndexError(f"there are {len(self)} batches")
            if self._partly is not None:
                self._partly.bring([self._partly.blocks[index]])
            batch = self._reader.get_batch(index)
            batch.validate()
            sound = _checksum(batch) == self._entries["checksum"][index].tobytes()
        except (OSError, ValueError, IndexError, pa.ArrowException) as error:
            raise damaged(f"{self.path}, batch {index}: {error}") from error
        if not sound:
            raise damaged(f"{self.path}, batch {index}: its bytes differ from its checksum")
        return batch

    def among(self, first: int, end: int, keys: tuple[int, int] = (0, 2**64 - 1)) -> list[int]:
        """The batches of the numbers from `first` up to `end` that may have keys from the first of these to
        the second, which are at hand then, in few requests."""
        least, greatest = self.bounds
        here = (self.numbers >= first) & (self.numbers < end) & (greatest >= keys[0]) & (least <= keys[1])
        wanted: list[int] = np.flatnonzero(here).tolist()
        if self._partly is not None:
            self._partly.bring([self._partly.blocks[index] for index in wanted])
        return wanted

    def numbered(self, number: int) -> list[pa.RecordBatch]:
        """The batches of this number, checked, in order."""
        return [self.batch(index) for index in self.among(number, number + 1)]


@contextmanager
def opened(
    step: StepFolder,
    entries: Sequence[FileEntry],
    first: int,
    end: int,
    keys: tuple[int, int] = (0, 2**64 - 1),
) -> Iterator[list[CheckedFile]]:
    """These files of a step, of which batches of the numbers from `first` up to `end` are read, as `among`
    tells them.

    Of a run on object storage small files are fetched whole, of others the batches, several at a time. Raises
    IntegrityError where one is not what its receipt says.
    """
    partly = [step.partly(entry) for entry in entries]
    step.bring([entry for entry, part in zip(entries, partly, strict=True) if part is None])
    with ExitStack() as stack:
        files = [
            CheckedFile(step.data / entry.name, entry.batches, part)
            for entry, part in zip(entries, partly, strict=True)
        ]

        def open_one(file: CheckedFile) -> None:
            stack.enter_context(file)
            file.among(first, end, keys)

        if any(partly):
            each(open_one, files, AT_ONCE)
        else:
            for file in files:
                open_one(file)
        yield files


def committed_file(step: StepFolder, name: str, *, partly: bool = False) -> CheckedFile:
    """A complete step's file, the very one that was written there; `partly`: batches of it are read, not all.

    Raises IntegrityError where it wrote none.
    """
    entry = step.entry(name)
    if entry.batches is None:
        raise damaged(f"{step.data / name}: the manifest beside it knows no such file of batches")
    if partly and (ranges := step.partly(entry)) is not None:
        return CheckedFile(step.data / name, entry.batches, ranges)
    return CheckedFile(step.at_hand(entry), entry.batches)


def committed_batch(step: StepFolder, name: str, index: int) -> pa.RecordBatch:
    """One batch of a complete step's file, the very one that was written there: checked by its receipt.

    Raises IntegrityError naming the file, the batch and the cure.
    """
    with committed_file(step, name, partly=True) as file:
        return file.batch(index)


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Every batch in order, each checked against the file itself."""
    with CheckedFile(path) as file:
        for index in range(len(file)):
            yield file.batch(index)
