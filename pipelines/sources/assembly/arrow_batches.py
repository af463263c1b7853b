"""Record batches of a range of an Arrow file or stream, decoded one at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.sources.framing.arrow_messages import (
    BATCH,
    DICTIONARY,
    HEAD_BYTES,
    SCHEMA,
    Message,
    footer_blocks,
    read_message,
    start_of,
    stream_messages,
)
from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.reader import Split


@dataclass(frozen=True)
class Decoded:
    """One batch: its number in the file, the rows it counts, and the rows or why they cannot be read."""

    number: int
    rows: int
    stored: int
    batch: pa.RecordBatch | None
    fault: str = ""


class _Chain(io.RawIOBase):
    """Bytes of some messages of a file one after the other, as one stream."""

    def __init__(self, file: BinaryIO, messages: Sequence[Message]) -> None:
        self._file = file
        self._todo = [(message.start, message.end) for message in reversed(messages)]
        self._left = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._left == 0:
            if not self._todo:
                return 0
            start, end = self._todo.pop()
            self._file.seek(start)
            self._left = end - start
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def messages_of(
    file: BinaryIO, split: Split, *, batches_alone: bool = False
) -> tuple[list[Message], list[tuple[int, Message]]]:
    """What must be read before a split (the schema, dictionaries), and its messages, each with the number of
    the batch that it is or comes before. Raises Damage where the file changed since it was indexed."""
    size = file.seek(0, 2)
    start, number, dictionaries_before, walked = split.hint
    if not walked:
        dictionaries, batches, begin = footer_blocks(file)
        first = _need(read_message(file, HEAD_BYTES, begin), HEAD_BYTES)
        needed = [] if batches_alone else dictionaries
        before = [first, *(_need(read_message(file, *block), block[0]) for block in needed)]
        chosen = enumerate(batches[split.start : split.end], split.start)
        return before, [(place, _need(read_message(file, *block), block[0])) for place, block in chosen]
    at = start_of(file)
    first = _need(read_message(file, at, size), at)
    known: dict[int, list[Message]] = {}
    wanted: list[tuple[int, Message]] = []
    if dictionaries_before:
        start, number = first.end, 0
    messages = stream_messages(file, start, size)
    while number < split.end:
        message = _need(next(messages, None), start)
        if message.kind == DICTIONARY and number < split.start:
            known[message.dictionary] = [
                *(known.get(message.dictionary, []) if message.delta else []),
                message,
            ]
        elif number >= split.start:
            wanted.append((number, message))
        number += message.kind == BATCH
    known_chunks = sorted((one for several in known.values() for one in several), key=lambda one: one.start)
    return [first, *known_chunks], wanted


def _need(message: Message | None, at: int) -> Message:
    if message is None:
        raise Damage(at, "a message that was indexed is not there: the file changed while it was read")
    return message


def decoded(path: Path, split: Split, limit: int) -> Iterator[Decoded]:
    """Every batch of a split. What cannot be decoded, is no valid Arrow, or unpacks to over `limit` bytes and
    64 times what is stored has a fault. Memory: one batch, and the dictionaries."""
    with path.open("rb") as file:
        before, wanted = messages_of(file, split)
        if before[0].kind != SCHEMA:
            raise Damage(0, "the stream does not begin with a schema")
        reader: Any = None
        for place, (number, message) in enumerate(wanted):
            if message.kind != BATCH:
                continue
            stored = message.end - message.start
            if message.unpacked > max(limit, 64 * stored):
                fault = f"its {stored} bytes unpack to {message.unpacked}"
                yield Decoded(number, message.rows, stored, None, fault)
                reader = None
                continue
            try:
                if reader is None:
                    known = [one for _, one in wanted[:place] if one.kind == DICTIONARY]
                    rest = [one for _, one in wanted[place:]]
                    reader = ipc.open_stream(pa.PythonFile(_Chain(file, [*before, *known, *rest]), mode="r"))
                batch = reader.read_next_batch()
                _validate(batch)
                if batch.num_rows != message.rows:
                    raise ValueError(f"it counts {message.rows} rows, {batch.num_rows} came")
            except Exception as error:  # whatever Arrow raises, the next batch may be sound
                if isinstance(error, ImportError) or getattr(error, "errno", None):
                    raise
                words = str(error).strip().splitlines() or [type(error).__name__]
                yield Decoded(number, message.rows, stored, None, words[0][:300])
                reader = None
            else:
                yield Decoded(number, message.rows, stored, batch)


def _validate(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid for a batch that is not valid. Values that are merely odd, such as texts that are no
    UTF-8 and times beyond a day, are left to what maps them row by row."""
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            try:
                _plainly(column).validate(full=True)
            except pa.ArrowNotImplementedError:
                raise error from None


def _plainly(column: pa.Array) -> pa.Array:
    """The same buffers as bytes and numbers, which have no odd values."""
    if isinstance(column, pa.DictionaryArray):
        words = column.dictionary
        return pa.DictionaryArray.from_arrays(column.indices, words.view(_physical(words.type)))
    if isinstance(column, pa.ExtensionArray):
        return _plainly(column.storage)
    return column.view(_physical(column.type))


def _physical(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_string_view(kind):
        return pa.binary_view()
    if pa.types.is_decimal(kind):
        return pa.binary(kind.byte_width)
    if pa.types.is_time(kind) or pa.types.is_date(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_physical(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_physical(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_physical(field.type)) for field in kind])
    return kind


def schema_of(path: Path) -> pa.Schema:
    """The schema of a file or stream. Raises Damage, or what Arrow raises."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        first = read_message(file, start_of(file), size)
        if first is None or first.kind != SCHEMA:
            raise Damage(0, "it does not begin with a schema")
        return ipc.open_stream(pa.PythonFile(_Chain(file, [first]), mode="r")).schema
