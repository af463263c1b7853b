"""What is a record of a CSV file, letter by letter, with the whole file in memory."""

from __future__ import annotations

BOM = b"\xef\xbb\xbf"


def records(data: bytes, delimiter: bytes = b",", quote: bytes = b'"') -> list[tuple[bytes, bool]]:
    """Records with their line ends, and whether each is broken."""
    found: list[tuple[bytes, bool]] = []
    at = 0
    while at < len(data):
        end = _record(data, at, delimiter, quote)
        if end is None:  # the quote that opened does not close: its line is broken
            end = data.find(b"\n", at) + 1 or len(data)
            alone = _record(data[at:end], 0, delimiter, quote, first=at == 0)
            found.append((data[at:end], alone is None))
        else:
            found.append((data[at:end], False))
        at = end
    return found


def _record(data: bytes, at: int, delimiter: bytes, quote: bytes, *, first: bool | None = None) -> int | None:
    """Where the record at `at` ends; None where a quote in it opens and does not close."""
    first = at == 0 if first is None else first
    at += len(BOM) if first and data.startswith(BOM) else 0
    field = True
    while at < len(data):
        letter = data[at : at + 1]
        if field and letter == quote:
            at += 1
            while True:
                at = data.find(quote, at)
                if at < 0:
                    return None
                if data[at + 1 : at + 2] != quote:
                    break
                at += 2
            at += 1
            if at == len(data):
                return at
            letter = data[at : at + 1]
            if letter == b"\r" and data[at : at + 2] == b"\r\n":
                return at + 2
            if letter not in (delimiter, b"\n"):
                return None
        if letter == b"\n":
            return at + 1
        field = letter == delimiter
        at += 1
    return at
