"""The documents that a run keeps, as JSON Lines packed with zstd, with a card: see `documents.py`.

A line is one document with every column, those it lacks as null; `meta` is the text of a JSON object, as in
the other formats, so that all lines have the same types; scores that are no number JSON knows are null. The
readers `jsonl` and `hugging_face` and `datasets` read them.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import zstandard

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.documents import OPTIONS, FileForm, export_documents


class LinesFile(DocumentFile):
    """A compressed file of lines."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        self._stream: IO[bytes] = compressor.stream_writer(cast("IO[bytes]", self.file))

    def write(self, table: pa.Table) -> None:
        for line in _lines(table):
            self._stream.write(line)

    def finish(self) -> None:
        self._stream.close()

    def rows(self) -> int:
        count = 0
        with self.path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            while piece := stream.read(io.DEFAULT_BUFFER_SIZE):
                count += piece.count(b"\n")
        return count


def _lines(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield json.dumps(_finite(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    """`value` with null for floats that are no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def export_jsonl(run: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_documents`."""
    return export_documents(run, out, FileForm("jsonl.zst", LinesFile), **options)


EXPORT = Export("documents", export_jsonl, OPTIONS)
