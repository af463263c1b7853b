"""Archives, files and heads for `hostile.py`: readers and what they are made of."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import zstandard
from hostile_shapes import Job, file_of, joined, numbered, parts_of, repeated, then

from corpusmill.pipelines.sources.reader import Label, Reader

_WARC = (
    "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://e.org/\r\n"
    "Content-Type: application/http\r\nContent-Length: {}\r\n{}\r\n{}\r\n\r\n"
)
_HTTP = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x"


_ARC = f"http://e.org/ 1.2.3.4 20080102030405 text/html {len(_HTTP)}\n{_HTTP}\n"


def _long_heads(made: Callable[[int], str]) -> Callable[[int], str]:
    """Records with heads of nearly the 1 MiB that a head may have."""
    return joined(lambda size: _record(_HTTP, made(size)), 800_000)


def _record(block: str, head: str = "") -> str:
    return _WARC.format(len(block.encode()), head, block)


def _read(reader: Reader, path: Path) -> None:
    for split in reader.index(path):
        if split.fault is None:
            for _ in reader.read(path, path.name, split, Label("s", "web")):
                pass


_HTTP_HEAD = 200_000  # of the 256 KiB that a head may have


def _long_http(size: int) -> str:
    return _record(_HTTP.replace("\r\n\r\n", "\r\n" + " y\r\n" * (size // 4) + "\r\n"))


def _members(unit: bytes) -> Callable[[int], bytes]:
    member = gzip.compress(unit, mtime=0)
    return lambda size: member * (size // len(member) + 1)


def _frames(unit: bytes) -> Callable[[int], bytes]:
    frame = zstandard.compress(unit)
    return lambda size: frame * (size // len(frame) + 1)


def _dictionaries(record: bytes) -> Callable[[int], bytes]:
    """The same dictionary over and over, between frames that need it."""
    words = zstandard.train_dictionary(1024, [bytes([n, n // 2, n // 3]) * 40 for n in range(200)])
    held = words.as_bytes()
    frame = zstandard.ZstdCompressor(dict_data=words).compress(record)
    unit = b"\x5d\x2a\x4d\x18" + len(held).to_bytes(4, "little") + held + frame
    return lambda size: unit * (size // len(unit) + 1)


def _tar(name: str, content: bytes, pax: bool = False) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        made = io.BytesIO()
        with tarfile.open(
            fileobj=made, mode="w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT
        ) as archive:
            for number in range(size // 1024 + 1):
                member = tarfile.TarInfo(f"r/{name}{number}.py")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return made.getvalue()

    return make


def _zip(content: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(max(1, size // (len(content) // 100 + 120))):
                archive.writestr(f"r/f{number}.py", content)
        return made.getvalue()

    return make


def _parquet(columns: bool) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        made = io.BytesIO()
        if columns:  # a column costs some 300 bytes
            pq.write_table(pa.table({"text": ["x"], **{f"c{n}": [1] for n in range(size // 300)}}), made)
        else:
            pq.write_table(pa.table({"text": [f"{n}" for n in range(size // 10)]}), made, row_group_size=100)
        return made.getvalue()

    return make


def _arrow(columns: bool) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        made = io.BytesIO()
        if columns:
            table = pa.table({"text": ["x"], **{f"c{n}": [1] for n in range(size // 300)}})
        else:
            words = pa.chunked_array([pa.array([f"{n}"]).dictionary_encode() for n in range(size // 400)])
            table = pa.table({"text": words})
        with ipc.new_stream(made, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
        return made.getvalue()

    return make


def readers() -> Iterator[Job]:
    from corpusmill.pipelines.sources.arc import Arc
    from corpusmill.pipelines.sources.arrow import Arrow
    from corpusmill.pipelines.sources.cdx import Cdx
    from corpusmill.pipelines.sources.csv import Csv
    from corpusmill.pipelines.sources.html import Html
    from corpusmill.pipelines.sources.jsonl import Jsonl
    from corpusmill.pipelines.sources.parquet import Parquet
    from corpusmill.pipelines.sources.tar import Tar
    from corpusmill.pipelines.sources.text import Text
    from corpusmill.pipelines.sources.warc import Warc
    from corpusmill.pipelines.sources.zip import Zip

    page = _record(_HTTP)
    shapes: list[tuple[type[Reader], str, str, Callable[[int], str | bytes]]] = [
        (Warc, ".warc", "tiny records", repeated(page)),
        (Warc, ".warc", "one giant record", lambda size: _record(_HTTP + "y" * size)),
        (Warc, ".warc", "continuation lines", _long_heads(lambda size: "A: x\r\n" + " y\r\n" * (size // 4))),
        (Warc, ".warc", "header fields", _long_heads(numbered("A#: x\r\n"))),
        (Warc, ".warc", "HTTP continuation lines", joined(_long_http, _HTTP_HEAD)),
        (Warc, ".warc", "line breaks between records", repeated(page + "\r\n" * 2000)),
        (Warc, ".warc", "beginnings of records", repeated("WARC/1.0 ", "x\n")),
        (Warc, ".warc", "version lines", repeated("WARC/1.0\r\n\r\n", page)),
        (Warc, ".warc.gz", "members of one byte", _members(b"W")),
        (Warc, ".warc.gz", "members of one record", _members(page.encode())),
        (Warc, ".warc.gz", "empty members", _members(b"")),
        (Warc, ".warc.zst", "frames of one byte", _frames(b"W")),
        (Warc, ".warc.zst", "dictionaries", _dictionaries(page.encode())),
        (Warc, ".warc", "one line", repeated("W")),
        (Warc, ".warc", "NUL", repeated("\0", page)),
        (Cdx, ".cdxj", "names of files", numbered('x 1 {"offset": 1, "filename": "#.warc.gz"}\n')),
        (Cdx, ".cdxj", "names of folders",
         joined(repeated("a/", 'x 1 {"offset":1,"filename":"', '"}\n'), 10**6)),
        (Cdx, ".cdxj", "broken lines", repeated("x 1 {\n")),
        (Cdx, ".cdxj", "legends", repeated(" CDX N b a m s k r M S V g\n")),
        (Cdx, ".cdxj", "blanks", repeated(" ")),
        (Arc, ".arc", "tiny records", repeated(_ARC)),
        (Arc, ".arc", "beginnings of records", repeated("\nhttp://", "x")),
        (Arc, ".arc", "one line", repeated("http://x 1 ")),
        (Jsonl, ".jsonl", "tiny lines", repeated('{"text":"x"}\n')),
        (Jsonl, ".jsonl", "one giant text", repeated("y", '{"text":"', '"}')),
        (Jsonl, ".jsonl", "empty lines", repeated("\n")),
        (Jsonl, ".jsonl", "brackets", repeated("[")),
        (Jsonl, ".jsonl", "nested lists", repeated('{"text":"x","a":' + "[" * 200 + "]" * 200 + "}\n")),
        (Jsonl, ".jsonl", "keys", joined(numbered('"k#":1,', '{"text":"x",', '"z":1}\n'), 400_000)),
        (Jsonl, ".jsonl", "equal keys", joined(repeated('"k":1,', '{"text":"x",', '"z":1}\n'), 200_000)),
        (Jsonl, ".jsonl", "escapes", repeated("\\n", '{"text":"', '"}')),
        (Jsonl, ".jsonl", "escaped characters", repeated("\\u00e9", '{"text":"', '"}')),
        (Jsonl, ".jsonl", "quotes", repeated('"')),
        (Jsonl, ".jsonl", "backslashes", repeated("\\", '{"text":"')),
        (Jsonl, ".jsonl", "digits", repeated("1", '{"text":"x","a":', "}")),
        (Jsonl, ".jsonl", "blanks", repeated(" ", '{"text":"x"', "}")),
        (Jsonl, ".jsonl.gz", "members of one byte", _members(b"{")),
        (Csv, ".csv", "tiny lines", repeated("x\n", "text\n")),
        (Csv, ".csv", "quotes that never close", repeated('a","b\n', "text,n\n")),
        (Csv, ".csv", "a quote a line", repeated('"x\n', "text\n")),
        (Csv, ".csv", "quotes", repeated('"', "text\n")),
        (Csv, ".csv", "quotes and more", repeated('"x"x,', "text\n")),
        (Csv, ".csv", "one giant field", repeated('a""\n', 'text\n"', '"\n')),
        (Csv, ".csv", "delimiters", repeated(",", "text\n")),
        (Text, ".txt", "tiny lines", repeated("x\n")),
        (Text, ".txt", "one giant line", repeated("x")),
        (Html, ".html", "one page", repeated("<p>x")),
        (Tar, ".tar", "members", _tar("f", b"x = 1\n")),
        (Tar, ".tar", "long names", _tar("f" * 200, b"x = 1\n")),
        (Tar, ".tar", "pax headers", _tar("f" * 200, b"x = 1\n", pax=True)),
        (Zip, ".zip", "members", _zip(b"x = 1\n")),
        (Zip, ".zip", "packed members", _zip(b" " * 100_000)),
        (Arrow, ".arrow", "columns", _arrow(columns=True)),
        (Arrow, ".arrow", "batches and dictionaries", _arrow(columns=False)),
        (Parquet, ".parquet", "columns", _parquet(columns=True)),
        (Parquet, ".parquet", "row groups", _parquet(columns=False)),
    ]  # fmt: skip
    for reader, suffix, shape, content in shapes:
        yield Job(
            f"reader {reader.__name__.lower()}: {shape}",
            file_of(suffix, content),
            partial(_read, reader(files=["x"])),
        )


def heads() -> Iterator[Job]:
    from corpusmill.pipelines.extraction.media_type import media_type
    from corpusmill.pipelines.sources.assembly.page_signs import other_than_html
    from corpusmill.pipelines.sources.framing.http_response import (
        BodyError,
        decoded_body,
        join_chunks,
        parse_response,
    )

    def bodies(blocks: list[str]) -> None:
        for block in blocks:
            with suppress(BodyError):
                response = parse_response(block.encode())
                if response is not None:
                    decoded_body(response, 2**26)

    def chunks(block: bytes) -> object:
        try:
            return join_chunks(block)
        except BodyError:
            return None

    head = "HTTP/1.1 200 OK\r\n"
    for shape, make in {
        "blanks": repeated(" ", "charset=", ";"),
        "charset": repeated("charset"),
        "quotes": repeated('"', "text/html;"),
        "backslashes": repeated('\\"', 'text/html; a="'),
        "commas": repeated(","),
        "tokens": repeated("a", "text/"),
    }.items():
        yield Job(f"Content-Type: {shape}", make, media_type)
    for shape, make in {
        "continuation lines": repeated(" y\r\n", head + "A: x\r\n"),
        "equal fields": repeated("A: x\r\n", head),
        "fields": numbered("A#: x\r\n", head),
        "colons": repeated(":", head),
        "carriage returns": repeated("\r", head),
        "encodings": repeated("gzip, ", head + "Content-Encoding: ", "\r\n\r\n<p>"),
        "blanks": repeated(" ", "HTTP/1.1"),
    }.items():
        yield Job(f"HTTP: {shape}", parts_of(make, _HTTP_HEAD), bodies)
    for shape, make in {
        "bytes": repeated("1\r\nx\r\n"),
        "blanks": repeated(" "),
        "extensions": repeated(";", "1"),
        "digits": repeated("1"),
    }.items():
        yield Job(f"chunks: {shape}", then(make, str.encode), chunks)
    for part in ("[", "[ ", "{", "(", "/* */", "//\n", "a=", "function ", "if(", "window. ", ";"):
        pieces = partial(lambda part, size: [part.encode() * (4096 // len(part))] * (size // 4096 + 1), part)
        yield Job(
            f"signs of a page: {part.strip()}", pieces, lambda heads: [other_than_html(one) for one in heads]
        )
