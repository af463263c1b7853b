"""Splits of a CSV file at the beginnings of records, proved by one pass, and the records of one split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.sources.framing.byte_stream import Hint
from corpusmill.pipelines.sources.framing.csv_scan import BROKEN, CsvScanner
from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.decompression import compression_of, pieces
from corpusmill.pipelines.sources.framing.line_ranges import Block, line_blocks
from corpusmill.pipelines.sources.framing.ranges import RangeBuilder
from corpusmill.pipelines.sources.reader import Split

BROKEN_QUOTE = "a quote that opens a field is not closed at its end"


@dataclass(frozen=True, slots=True)
class Record:
    """One record with its line end, at position `start`. Where `size` is over the limit, `data` is its first
    bytes; `broken`: why it is no record."""

    data: bytes
    start: int
    size: int
    broken: str | None = None


def index_csv(path: Path, split_bytes: int, limit: int, delimiter: str, quote: str) -> list[Split]:
    """Splits of a CSV file, in uncompressed bytes; a compressed file is proved whole. Memory: a line of at
    most `limit` bytes, and one piece."""
    builder = RangeBuilder(split_bytes)
    scanner = CsvScanner(delimiter, quote, every=False, first=True)
    plain = compression_of(path) == "plain"
    end = 0
    try:
        for block, hint in _lines(path, limit):
            if not scanner.open:
                builder.boundary(block.start, (block.start, block.start) if plain else hint)
            end = block.start + (block.skipped or len(block.data))
            if block.skipped:
                scanner.reset()
                continue
            for _, place in scanner.scan(block.data):
                here = block.start + place
                builder.boundary(here, (here, here) if plain else hint)
        builder.finish(end)
    except Damage as damage:
        builder.damage(damage.sound, path.stat().st_size - damage.frame, damage.fault)
    return builder.splits()


def _lines(path: Path, limit: int) -> Iterator[tuple[Block, Hint]]:
    """The lines of a file in blocks as `line_blocks` gives them, and from where to reopen the file for each.
    The length of a line that is skipped is counted with its newline."""
    parts_read: list[bytes] = []
    size, start = 0, 0
    hint: Hint = (0, 0)
    for piece in pieces(path):
        data, here = piece.data, piece.start
        newline = data.find(b"\n") + 1
        if size > limit:
            if not newline:
                size += len(data)
                continue
            yield Block(parts_read[0][:1], start, size + newline), hint
            parts_read, size = [], 0
            data, here = data[newline:], here + newline
        if not parts_read:
            start, hint = here, (piece.frame, piece.frame_start)
        last = data.rfind(b"\n") + 1
        if last:
            yield Block(b"".join([*parts_read, data[:last]]), start), hint
            parts_read, size = [], 0
            start, hint = here + last, (piece.frame, piece.frame_start)
        if last < len(data):
            size += len(data) - last
            parts_read = (
                [*parts_read, data[last:]] if size <= limit else [*parts_read[:1], data[last : last + 1]][:1]
            )
    if parts_read:
        skipped = size if size > limit else 0
        yield Block(parts_read[0][:1] if skipped else b"".join(parts_read), start, skipped), hint


@dataclass(frozen=True)
class CsvRange:
    """A split of a CSV file to read records from; of records over `limit` bytes only the first are held."""

    path: Path
    split: Split
    limit: int
    delimiter: str
    quote: str

    def records(self) -> Iterator[Record]:
        """All records, blank lines among them. Memory: one record of at most `limit` bytes, and one block."""
        first = self.split.start == 0
        scanner = CsvScanner(self.delimiter, self.quote, every=True, first=first)
        parts_read: list[bytes] = []  # of the record that is open, as long as it is within the limit
        start, size = self.split.start, 0
        for block in line_blocks(self.path, self.split, self.limit):
            if block.skipped:
                yield from self._singly(start, block.start, parts_read, size)
                yield Record(block.data, block.start, block.skipped)
                scanner.reset()
                parts_read, size, start = [], 0, block.start + block.skipped + 1
                continue
            begin = 0
            for event, place in scanner.scan(block.data):
                part = block.data[begin:place]
                size += len(part)
                parts_read.append(part)
                if event == BROKEN:
                    yield from self._singly(start, block.start + place, parts_read, size)
                else:
                    whole = part if len(parts_read) == 1 else b"".join(parts_read)
                    yield Record(whole if size <= self.limit else whole[:256], start, size)
                begin, parts_read, size = place, [], 0
                start = block.start + place
            if begin < len(block.data):
                parts_read.append(block.data[begin:])
                size += len(parts_read[-1])
            if size > self.limit:
                parts_read = [b"".join(parts_read)[:256]]
        if size and scanner.open:
            yield from self._singly(start, self.split.end, parts_read, size)
        elif size:
            yield Record(b"".join(parts_read), start, size)

    def _singly(self, start: int, end: int, parts_read: list[bytes], size: int) -> Iterator[Record]:
        """Lines from `start` to `end`, over which a quote goes that does not close: each that is a record by
        itself, and the others as broken. They are read again where they were too many to be held."""
        if not size:
            return
        blocks: Iterator[Block] = iter([Block(b"".join(parts_read), start)])
        if size > self.limit:
            blocks = line_blocks(self.path, Split(start, end, end - start, self.split.hint), self.limit)
        for block in blocks:
            if block.skipped:
                yield Record(block.data, block.start, block.skipped)
                continue
            at = block.start
            for line in _split(block.data):
                scanner = CsvScanner(self.delimiter, self.quote, every=True, first=at == 0)
                broken = any(event == BROKEN for event, _ in scanner.scan(line)) or scanner.open
                yield Record(line, at, len(line), BROKEN_QUOTE if broken else None)
                at += len(line)


def _split(data: bytes) -> list[bytes]:
    """Lines with their line feeds; a carriage return ends none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines
