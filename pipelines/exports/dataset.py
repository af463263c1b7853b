"""The documents that a run keeps, as a data set in the layout of the Hugging Face Hub.

    README.md                                   configs and splits, and how many documents each has
    data/SOURCE/train-00000-of-00002.parquet    documents of a source, in the run's order
    data/SOURCE/test-00000-of-00001.parquet     those that the run holds out, where it holds out any

The configuration `default` is all sources together; each source has one of its own. Files hold the columns of
the document schema and no scores, so that `hugging_face` and `parquet` read them with the ids and metadata
they have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.exports.content_digest import ContentDigest
from corpusmill.pipelines.inspection.kept_documents import TEST, TRAIN, kept_documents, kept_record
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.system.new_folder import new_folder

FILE_BYTES = 512 * 2**20  # of text in one file, about
Counts = dict[tuple[str, str], int]


def export_dataset(run: Path, out: Path, file_bytes: int = FILE_BYTES) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; returns what was written.

    Raises UserError where there is no run, a source is not complete, or `out` holds anything.
    """
    record = kept_record(run)
    with new_folder(out) as folder:
        counts, files = _write(record, folder, file_bytes)
        (folder / "README.md").write_text(_readme(record, counts), "utf-8")
    documents = {f"{source}/{split}": count for (source, split), count in sorted(counts.items())}
    return {"folder": str(out), "files": files, "documents": documents}


def _write(record: RunRecord, folder: Path, file_bytes: int) -> tuple[Counts, int]:
    writers: dict[tuple[str, str], _Files] = {}
    for source, split, docs in kept_documents(record):
        place = folder / "data" / source
        writers.setdefault((source, split), _Files(place, split, file_bytes)).add(docs)
    files = sum(writer.close() for writer in writers.values())
    if not files:
        raise UserError(f"{record.folder.location}: the run keeps no documents, so there is nothing to write")
    return {key: writer.documents for key, writer in writers.items()}, files


class _Files:
    """Parquet files of one split of one source, numbered once it is known how many there are."""

    def __init__(self, folder: Path, split: str, file_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._split, self._most = folder, split, file_bytes
        self._written: list[Path] = []
        self._writer: DatasetWriter | None = None
        self._bytes = 0
        self._digest = ContentDigest()
        self.documents = 0

    def add(self, docs: Documents) -> None:
        if self._writer is None or self._bytes >= self._most:
            self._finish()
            self._writer = DatasetWriter(self._folder / f"{self._split}-{len(self._written):05d}.parquet")
        self._writer.append(docs)
        self._bytes += int(docs.sizes().sum())
        self.documents += len(docs)
        self._digest.add(docs)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._written.append(self._writer.path)
        self._writer, self._bytes = None, 0

    def close(self) -> int:
        """Give the files their names, read them again and compare; returns how many there are."""
        self._finish()
        count = len(self._written)
        found = ContentDigest()
        for number, path in enumerate(self._written):
            named = path.rename(path.with_name(f"{self._split}-{number:05d}-of-{count:05d}.parquet"))
            with pq.ParquetFile(named, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups):
                    found.add(Documents(file.read_row_group(group)))
        if found.value() != self._digest.value():
            raise CorpusmillError(f"{self._folder}: what was written comes back different; try another disk")
        return count


def _readme(record: RunRecord, counts: Counts) -> str:
    sources = sorted({source for source, _ in counts})
    configs = [_config("default", "*", [split for _, split in counts])]
    for source in sources:
        if source != "default":
            configs.append(_config(source, source, [split for name, split in counts if name == source]))
    head = yaml.safe_dump({"configs": configs}, sort_keys=False, allow_unicode=True)
    rows = [f"| {source} | {split} | {count:,} |" for (source, split), count in sorted(counts.items())]
    held_out_note = (
        "\nThe split `test` is what the run holds out.\n" if any(split == TEST for _, split in counts) else ""
    )
    table = "\n".join(["| source | split | documents |", "|---|---|---|", *rows])
    return (
        f"---\n{head}---\n\n# {record.name}\n\nWritten by `corpusmill export --to dataset`. Columns: "
        f"{', '.join(f'`{name}`' for name in SCHEMA.names)}; `meta` is JSON.\n\n{table}\n{held_out_note}"
    )


def _config(name: str, source: str, splits: list[str]) -> dict[str, Any]:
    there = [split for split in (TRAIN, TEST) if split in splits]
    files = [{"split": split, "path": f"data/{source}/{split}-*.parquet"} for split in there]
    return {"config_name": name, "data_files": files}


EXPORT = Export("documents", export_dataset)
