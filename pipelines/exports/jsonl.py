"""The documents that a run keeps, as JSON Lines: `SOURCE.jsonl.zst`, and `SOURCE.test.jsonl.zst` held out.

A line is one document: the fields of the document schema that it has, `meta` as an object. The reader `jsonl`
reads the files again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.exports.by_source import DocumentFile, export_by_source
from corpusmill.pipelines.exports.content_digest import ContentDigest


def export_jsonl(run: Path, out: Path) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_by_source`."""
    return export_by_source(run, out, "jsonl.zst", _Lines)


class _Lines(DocumentFile):
    """A compressed file of lines."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._stream: IO[bytes] = zstandard.ZstdCompressor(write_checksum=True).stream_writer(path.open("wb"))

    def write(self, docs: Documents, digest: ContentDigest) -> None:
        for line in _lines(docs):
            digest.add_bytes(line)
            self._stream.write(line)

    def finish(self) -> None:
        self._stream.close()

    def read_again(self, digest: ContentDigest) -> None:
        with self.path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            while piece := stream.read(io.DEFAULT_BUFFER_SIZE):
                digest.add_bytes(piece)


def _lines(docs: Documents) -> Iterator[bytes]:
    for row in docs.table.to_pylist():
        row["meta"] = json.loads(row["meta"]) if row.get("meta") else None
        kept = {name: value for name, value in row.items() if value is not None}
        yield json.dumps(kept, ensure_ascii=False, default=str).encode() + b"\n"


EXPORT = Export("documents", export_jsonl)
