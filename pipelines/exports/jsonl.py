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

import xxhash
import zstandard

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.inspection.kept_documents import TEST, kept_documents, kept_record
from corpusmill.pipelines.system.new_folder import new_folder


def export_jsonl(run: Path, out: Path) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; returns what was written.

    Raises UserError where there is no run, a source is not complete, or `out` holds anything. Memory: one row
    group, and the state of a compressor for each file.
    """
    record = kept_record(run)
    files: dict[str, _File] = {}
    with new_folder(out) as folder:
        for source, split, docs in kept_documents(record):
            name = f"{source}.{TEST}.jsonl.zst" if split == TEST else f"{source}.jsonl.zst"
            if name not in files:
                files[name] = _File(folder / name)
            files[name].add(docs)
        if not files:
            raise UserError(f"{run}: the run keeps no documents, so there is nothing to write")
        for file in files.values():
            file.close()
    return {"folder": str(out), "documents": {name: file.documents for name, file in sorted(files.items())}}


class _File:
    """One file that is being written; a digest of its lines proves what comes back."""

    def __init__(self, path: Path) -> None:
        self._path, self._digest, self.documents = path, xxhash.xxh3_128(), 0
        self._stream: IO[bytes] = zstandard.ZstdCompressor(write_checksum=True).stream_writer(path.open("wb"))

    def add(self, docs: Documents) -> None:
        for line in _lines(docs):
            self._digest.update(line)
            self._stream.write(line)
            self.documents += 1

    def close(self) -> None:
        """Finish the file, read it again and compare. Raises CorpusmillError where it differs."""
        self._stream.close()
        found = xxhash.xxh3_128()
        with self._path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            while piece := stream.read(io.DEFAULT_BUFFER_SIZE):
                found.update(piece)
        if found.digest() != self._digest.digest():
            raise CorpusmillError(f"{self._path}: what was written comes back different; try another disk")


def _lines(docs: Documents) -> Iterator[bytes]:
    for row in docs.table.to_pylist():
        row["meta"] = json.loads(row["meta"]) if row.get("meta") else None
        kept = {name: value for name, value in row.items() if value is not None}
        yield json.dumps(kept, ensure_ascii=False, default=str).encode() + b"\n"


EXPORT = Export("documents", export_jsonl)
