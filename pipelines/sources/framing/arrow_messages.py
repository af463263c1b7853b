"""The messages of Arrow IPC files and streams: where they lie, what they count, whether they are whole.

Both formats are a schema followed by record batches and dictionaries, each with a length of metadata before
it and of a body in it; a file besides ends with a footer that lists them. Format:
https://arrow.apache.org/docs/format/Columnar.html (serialization). There are no checksums: bytes that changed
within values cannot be told from sound ones by anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from corpusmill.pipelines.sources.framing.damage import FETCH_AGAIN, Damage
from corpusmill.pipelines.sources.reader import Split
from corpusmill.pipelines.storage.flatbuffer import FlatTable

MAGIC = b"ARROW1"
HEAD_BYTES = 8  # of a file before its schema
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
_CONTINUED = 0xFFFFFFFF
_MAX_METADATA = 2**28
_MAX_GAP = 64  # bytes of padding between two messages, and the mark of the end
# A batch of more rows than this has to have stored at least a byte for so many of them.
ROWS_LEAST = 100_000
ROWS_PER_BYTE = 64


@dataclass(frozen=True)
class Message:
    """One message in bytes `start` to `end`; `rows` and `unpacked` (bytes of its body once unpacked) of a
    batch."""

    kind: int
    start: int
    end: int
    rows: int = 0
    unpacked: int = 0
    dictionary: int = 0  # the number of a dictionary
    delta: bool = False  # whether it adds to the one before it of that number; else it takes its place


def start_of(file: BinaryIO) -> int:
    """Where the schema begins: behind the mark of an IPC file, which has a footer, or where a stream does."""
    file.seek(0)
    return HEAD_BYTES if file.read(len(MAGIC)) == MAGIC else 0


def read_message(file: BinaryIO, start: int, limit: int) -> Message | None:
    """The message at byte `start`; None for the mark of the end. Raises Damage where it is not whole by
    `limit`."""
    file.seek(start)
    length = int.from_bytes(file.read(4), "little")
    at = start + 4
    if length == _CONTINUED:
        length, at = int.from_bytes(file.read(4), "little"), start + 8
    if length == 0 and at <= limit:
        return None
    if at + length > limit:
        raise _cut(start, f"a message of {length} bytes of metadata")
    if length > _MAX_METADATA:
        raise Damage(start, f"a message of {length} bytes of metadata, over {_MAX_METADATA}", sound=start)
    try:
        return _message(file, start, at, length, limit)
    except ValueError as error:
        raise Damage(start, f"the metadata of a message are broken ({error})", sound=start) from error


def _message(file: BinaryIO, start: int, at: int, length: int, limit: int) -> Message:
    top = FlatTable.root(file.read(length))
    kind, body = top.number(1, "<B"), top.number(3, "<q")
    end = at + length + body
    if body < 0 or end > limit:
        raise _cut(start, f"a message with a body of {body} bytes")
    header = top.table(2)
    dictionary, delta = 0, False
    if kind == DICTIONARY and header is not None:
        dictionary, delta = header.number(0, "<q"), bool(header.number(2, "<B"))
        header = header.table(1)
    if kind not in (SCHEMA, DICTIONARY, BATCH) or header is None:
        raise ValueError(f"its kind is {kind}")
    if kind == SCHEMA:
        return Message(kind, start, end)
    rows = header.number(0, "<q")
    if rows < 0 or (rows > ROWS_LEAST and rows > ROWS_PER_BYTE * (end - start)):
        raise ValueError(f"it counts {rows} rows in {end - start} bytes")
    nodes = header.structs(1, "<qq")  # of the columns, the first of which is no part of another
    if (nodes and nodes[0][0] != rows) or (body and not nodes):
        raise ValueError(f"it counts {rows} rows, its first column {nodes[0][0] if nodes else 'is missing'}")
    buffers = header.structs(2, "<qq")
    for offset, size in buffers:
        if offset < 0 or size < 0 or offset + size > body:
            raise ValueError(f"a buffer of {size} bytes at {offset} of a body of {body}")
    unpacked = sum(size for _, size in buffers)
    if body - unpacked > _MAX_GAP * (len(buffers) + 1):
        raise ValueError(f"its buffers leave out {body - unpacked} bytes of its body of {body}")
    if header.table(3) is not None:
        unpacked = _unpacked(file, at + length, buffers)
    return Message(kind, start, end, rows, unpacked, dictionary, delta)


def _unpacked(file: BinaryIO, body: int, buffers: Sequence[tuple[int, ...]]) -> int:
    """What compressed buffers say they take: each begins with its size, or -1 where it is stored as it is."""
    total = 0
    for offset, size in buffers:
        if size:
            file.seek(body + offset)
            told = int.from_bytes(file.read(8), "little", signed=True)
            total += size if told == -1 else max(told, 0)
    return total


def _cut(start: int, what: str) -> Damage:
    return Damage(start, f"the file ends inside {what}", sound=start, cut=True)


def stream_messages(file: BinaryIO, start: int, limit: int) -> Iterator[Message]:
    """Messages one after the other. Raises Damage where one is broken or the mark of the end is missing."""
    begin = start
    while start < limit:
        message = read_message(file, start, limit)
        if message is None:
            return
        if (message.kind == SCHEMA) != (start == begin and begin in (0, HEAD_BYTES)):
            raise Damage(start, "a schema, or what is none, where a stream has the other", sound=start)
        yield message
        start = message.end
    raise Damage(
        start, "the stream ends without its end mark; it may be cut", FETCH_AGAIN, sound=start, cut=True
    )


def footer_blocks(file: BinaryIO) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
    """From a file's footer: (start, end) of dictionaries and of batches, and where the footer begins. Raises
    Damage."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 10))
    tail = file.read(10)
    if size < HEAD_BYTES + 10 or tail[4:] != MAGIC:
        raise Damage(size, "the file does not end with an Arrow footer: it is cut", cut=True, sound=size)
    length = int.from_bytes(tail[:4], "little", signed=True)
    begin = size - 10 - length
    if length <= 0 or begin < HEAD_BYTES:
        raise Damage(size - 10, f"an Arrow footer of {length} bytes does not fit into the file", sound=size)
    file.seek(begin)
    try:
        top = FlatTable.root(file.read(length))
        lists = [[(at, at + head + body) for at, head, body in top.structs(k, "<qi4xq")] for k in (2, 3)]
    except ValueError as error:
        raise Damage(begin, f"the Arrow footer is broken ({error})", sound=size) from error
    last = -1
    for start, end in sorted((*lists[0], *lists[1])):
        if not HEAD_BYTES <= start < end <= begin or start < last:
            raise Damage(begin, f"the Arrow footer names a block at bytes {start} to {end}", sound=size)
        last = end
    return lists[0], lists[1], begin


def index_batches(path: Path, split_bytes: int) -> list[Split]:
    """Splits of record batches of about `split_bytes`, by their numbers in the file, faults included.

    Of a split `hint` is where its first message begins, the number of its first batch, and whether
    dictionaries come before it.
    """
    splits = _Splits(split_bytes)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        try:
            if start_of(file):
                _index_file(file, splits)
            else:
                splits.walk(stream_messages(file, 0, size))
        except Damage as damage:
            splits.fault(max(1, size - splits.position), damage.fault)
        else:
            if not start_of(file):
                _end_of_stream(file, splits.position, size, splits)
    return splits.done()


def _end_of_stream(file: BinaryIO, end: int, size: int, splits: _Splits) -> None:
    file.seek(end)
    mark = file.read(8)
    rest = size - end - (8 if mark[:4] == b"\xff\xff\xff\xff" else 4)
    if rest > 0:
        splits.fault(
            rest, f"byte {size - rest}: there is data after the end mark of the stream; take it apart"
        )


def _index_file(file: BinaryIO, splits: _Splits) -> None:
    """Batches by the footer; without a sound one those that follow each other from the beginning."""
    try:
        dictionaries, batches, begin = footer_blocks(file)
    except Damage:
        splits.walk(stream_messages(file, HEAD_BYTES, file.seek(0, 2)))
        raise
    schema = read_message(file, HEAD_BYTES, begin)
    if schema is None or schema.kind != SCHEMA:
        raise Damage(HEAD_BYTES, "the file does not begin with a schema")
    last = schema.end
    for start, end in sorted((*dictionaries, *batches)):
        if start - last > _MAX_GAP:
            raise Damage(last, f"the footer leaves out {start - last} bytes")
        last = end
    if begin - last > _MAX_GAP:
        raise Damage(last, f"the footer leaves out {begin - last} bytes")
    splits.dictionaries = bool(dictionaries)
    for start, end in batches:
        try:
            message = read_message(file, start, end)
            if message is None or message.kind != BATCH or message.end != end:
                raise Damage(start, "there is no record batch where the footer says")
        except Damage as damage:
            splits.broken(end - start, damage.fault)
        else:
            splits.add(message)
    splits.position = file.seek(0, 2)


class _Splits:
    """Collects batches in the order of their numbers."""

    def __init__(self, split_bytes: int) -> None:
        self.dictionaries = False
        self.position = 0  # up to which all is known
        self._target = split_bytes
        self._splits: list[Split] = []
        self._number = 0
        self._open: tuple[int, int] | None = None  # number and byte of the first batch
        self._before = False  # dictionaries before it
        self._size = 0
        self._walked = 0  # whether messages were found one after the other, not by a footer

    def walk(self, messages: Iterator[Message]) -> None:
        """Add messages that follow each other."""
        self._walked = 1
        for message in messages:
            self.add(message)

    def add(self, message: Message) -> None:
        self.position = message.end
        if message.kind == DICTIONARY:
            self.dictionaries = True
        if message.kind != BATCH:
            return
        if self._open is None:
            self._open, self._before = (self._number, message.start), self.dictionaries
        self._number += 1
        self._size += message.end - message.start
        self._before |= self.dictionaries
        if self._size >= self._target:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            hint = (self._open[1], self._open[0], int(self._before), self._walked)
            self._splits.append(Split(self._open[0], self._number, self._size, hint))
        self._open, self._size = None, 0

    def broken(self, size: int, fault: str) -> None:
        """A batch that has a number but cannot be read."""
        self._close()
        self._splits.append(Split(self._number, self._number + 1, size, (), fault))
        self._number += 1

    def fault(self, size: int, fault: str) -> None:
        """The rest of the file, of which no more is known."""
        self._close()
        self._splits.append(Split(self._number, self._number, size, (), fault))

    def done(self) -> list[Split]:
        self._close()
        return self._splits
