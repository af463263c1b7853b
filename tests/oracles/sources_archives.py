"""What the readers' tests share: reading a file whole, and making small archives by the letter."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.pipelines.sources.reader import Label, Lost, Reader, Split

LABEL = Label("set", "domain")


@dataclass
class Read:
    """All of one file, read split by split."""

    splits: list[Split]
    rows: list[dict[str, Any]] = field(default_factory=list)
    removed: list[Lost] = field(default_factory=list)
    quarantined: list[Lost] = field(default_factory=list)
    largest: int = 0  # bytes of the largest batch

    @property
    def faults(self) -> list[str]:
        return [split.fault for split in self.splits if split.fault]

    @property
    def whys(self) -> Counter[str]:
        return Counter(lost.why for lost in self.removed + self.quarantined)

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.rows]


def read_all(reader: Reader, path: Path, name: str | None = None) -> Read:
    found = Read(reader.index(path))
    for split in found.splits:
        if split.fault:
            continue
        for batch in reader.read(path, name or path.name, split, LABEL):
            found.rows += batch.documents.table.to_pylist()
            found.removed += batch.removed
            found.quarantined += batch.quarantined
            found.largest = max(found.largest, int(batch.documents.sizes().sum()))
    return found


def warc_record(kind: str, url: str, block: bytes, number: int = 0, **extra: str) -> bytes:
    """One WARC/1.0 record; `extra` are further fields with underscores for hyphens."""
    mime = "application/http; msgtype=response" if kind in ("response", "revisit") else "text/plain"
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        "WARC-Date": "2024-05-06T07:08:09Z",
        "WARC-Target-URI": url,
        "Content-Type": mime,
        **{name.replace("_", "-"): value for name, value in extra.items()},
        "Content-Length": str(len(block)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http_response(body: bytes, status: int = 200, **headers: str) -> bytes:
    named = {"Content-Type": "text/html; charset=utf-8"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def page_records(count: int, size: int = 300) -> list[bytes]:
    """`count` response records with distinct pages of about `size` bytes."""
    return [
        warc_record(
            "response",
            f"http://example.org/{i}",
            http_response(f"<html><body>page {i} {'lorem ' * (size // 6)}</body></html>".encode()),
            i,
        )
        for i in range(count)
    ]


def gzip_members(parts: list[bytes]) -> bytes:
    return b"".join(gzip.compress(part, mtime=0) for part in parts)
