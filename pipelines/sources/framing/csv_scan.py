"""Where the records of a CSV file end: at a line end outside of quotes.

A quote opens a field only where the field begins, and closes it where a delimiter or a line end follows;
inside of one a doubled quote stands for one (RFC 4180). Elsewhere it is a character as any other. Where
something else follows a closing quote, or the file ends inside of one, the quote that opened did not open:
the line it stands in is broken, and so is each later line that leaves a quote open, up to the one where
that was found. That rule needs nothing of what lies behind a range: read from any record's beginning, the
same lines are records.
"""

from __future__ import annotations

from collections.abc import Iterator

BOM = b"\xef\xbb\xbf"
ENDED, BROKEN = "ended", "broken"
_LF, _CR = 10, 13
_PLAIN, _QUOTED, _CLOSING, _AFTER_CR = range(4)
# Lines without quotes are passed over together; of their ends only some are told where not all are wanted.
_SPARSE = 2**15


class CsvScanner:
    """Finds the ends of records in blocks of whole lines.

    `every`: tell each end, not one in about 32 KiB. `first`: the first block begins the file, perhaps with a
    byte-order mark.
    """

    def __init__(self, delimiter: str, quote: str, *, every: bool, first: bool) -> None:
        self._first = first
        self._delimiter, self._quote = delimiter.encode(), quote.encode()
        self._step = 0 if every else _SPARSE
        self._mode = _PLAIN

    @property
    def open(self) -> bool:
        """Whether a field in quotes is not closed by the end of what was scanned."""
        return self._mode in (_QUOTED, _AFTER_CR)

    def reset(self) -> None:
        """Begin a record."""
        self._mode = _PLAIN

    def scan(self, data: bytes) -> Iterator[tuple[str, int]]:
        """Events of a block of whole lines, each with the place where the next record begins: ENDED, or
        BROKEN, where what lies before is no record but lines, each a record or broken by itself."""
        quote, delimiter = self._quote[0], self._delimiter[0]
        record = field = 0 if self._mode == _PLAIN else -1  # where they begin; -1: in a block before
        at = 0
        if self._first:
            field = len(BOM) if data.startswith(BOM) else 0
            self._first = False
        while at < len(data):
            if self._mode == _PLAIN:
                found = data.find(self._quote, at)
                stop = found if found >= 0 else len(data)
                line = data.rfind(b"\n", at, stop) + 1
                if line > at:
                    yield from self._ends(data, at, line)
                    at = field = record = line
                if found < 0:
                    break
                opens = found == field or data[found - 1] == delimiter
                self._mode, at = (_QUOTED if opens else _PLAIN), found + 1
            elif self._mode == _QUOTED:
                found = data.find(self._quote, at)
                if found < 0:
                    return
                self._mode, at = _CLOSING, found + 1
            elif self._mode == _CLOSING and data[at] == quote:
                self._mode, at = _QUOTED, at + 1
            elif self._mode == _CLOSING and data[at] == delimiter:
                self._mode, at = _PLAIN, at + 1
                field = at
            elif data[at] == _LF:
                self._mode, at = _PLAIN, at + 1
                field = record = at
                yield ENDED, at
            elif self._mode == _CLOSING and data[at] == _CR:
                self._mode, at = _AFTER_CR, at + 1
            else:
                line = data.rfind(b"\n", 0, at) + 1
                at = line if line > record else data.find(b"\n", at) + 1 or len(data)
                field = record = at
                self._mode = _PLAIN
                yield BROKEN, at

    def _ends(self, data: bytes, at: int, stop: int) -> Iterator[tuple[str, int]]:
        while at < stop:
            at = data.find(b"\n", min(at + self._step, stop - 1)) + 1
            yield ENDED, at


def fields_of(record: str, delimiter: str, quote: str) -> list[str] | None:
    """The fields of one record without its line end; None where a quote in it closes where no field ends."""
    if quote not in record:
        return record.split(delimiter)
    fields: list[str] = []
    at = 0
    while True:
        if not record.startswith(quote, at):
            end = record.find(delimiter, at)
            if end < 0:
                return [*fields, record[at:]]
            fields.append(record[at:end])
            at = end + 1
            continue
        close = record.find(quote, at + 1)
        while close >= 0 and record.startswith(quote, close + 1):
            close = record.find(quote, close + 2)
        if close < 0 or not (close + 1 == len(record) or record.startswith(delimiter, close + 1)):
            return None
        fields.append(record[at + 1 : close].replace(quote * 2, quote))
        at = close + 2
        if close + 1 == len(record):
            return fields
