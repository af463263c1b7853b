"""What the exports of documents share: a folder of files of bounded size with a dataset card.

    README.md                                   the card: where everything is from, and what became of it
    data/SOURCE/train-00000-of-00002.parquet    documents of a source, in the run's order
    data/SOURCE/test-00000-of-00001.parquet     those that the run holds out, where it holds out any

Documents are those of `run.documents()`: after every filter, deduplication, decontamination and cut. The
columns are those of the document schema, `site` and one column `scores`. Readers know such files again and
take ids and metadata as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.exports.card import card
from corpusmill.pipelines.exports.columns import (
    Columns,
    KeptRows,
    chosen_columns,
    chosen_sources,
    kept_rows,
)
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.unfinished import Part, PartFile, Unfinished, totals, unfinished_folder
from corpusmill.pipelines.inspection.kept_documents import kept_record
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table

FILE_BYTES = 512 * 2**20
OPTIONS = ("source", "columns", "file_bytes")


@dataclass(frozen=True)
class FileForm:
    """A format of files: the end of their names, and what writes one."""

    suffix: str
    make: Callable[[Path, pa.Schema], DocumentFile]


def export_documents(
    run: Path,
    out: Path,
    form: FileForm,
    *,
    source: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    file_bytes: int = FILE_BYTES,
) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; returns what was written.

    `source`: names of the sources to write, None: all; `columns`: see `chosen_columns`; `file_bytes`: bytes
    of text after which a file ends, so that it has at most a row group (16 MiB, or one document) more.
    Memory: a row group, the scores of a unit, and in Parquet what waits for a row group. What was killed goes
    on with the file that it was writing when the same is asked again.

    Raises UserError where there is no run, a source is not complete, a name is unknown, `out` holds
    anything, and where no document is kept; NotKeptError where the run did not keep its documents;
    CorpusmillError where a file comes back different.
    """
    record = kept_record(run)
    sources = chosen_sources(record, source)
    chosen = chosen_columns(record, documents_table(record), sources, columns)
    asked = [form.suffix, sources, chosen.names, list(chosen.scores), file_bytes, version("corpusmill")]
    content = [(name, step.content) for name, step in record.steps.items() if step.complete]
    key = hashlib.sha256(json.dumps([asked, content]).encode()).hexdigest()
    with unfinished_folder(out, key) as work:
        _write(work, record, sources, chosen, form, file_bytes)
        if not work.parts:
            raise UserError(f"{record.folder.location}: no documents are kept, so there is nothing to write")
        _number(work)
        written = totals(work.parts)
        (work.folder / "README.md").write_text(card(record, chosen, written, form.suffix), "utf-8")
    return {
        "folder": str(out),
        "files": sum(one["files"] for one in written.values()),
        "documents": {f"{name}/{split}": one["documents"] for (name, split), one in sorted(written.items())},
    }


def _write(
    work: Unfinished,
    record: RunRecord,
    sources: Sequence[str],
    columns: Columns,
    form: FileForm,
    file_bytes: int,
) -> None:
    after = (work.parts[-1].unit, work.parts[-1].batch) if work.parts else None
    at_work: _PartAtWork | None = None
    try:
        with closing(kept_rows(record, sources, columns, after)) as found:
            for rows in found:
                if at_work is not None and (at_work.source != rows.source or at_work.most >= file_bytes):
                    work.add(at_work.finish())
                    at_work = None
                at_work = at_work or _PartAtWork(work, rows.source, form, columns.schema)
                at_work.add(rows)
        if at_work is not None:
            work.add(at_work.finish())
    except BaseException:
        if at_work is not None:
            at_work.abandon()
        raise


class _PartAtWork:
    """Files of one part, one a split."""

    def __init__(self, work: Unfinished, source: str, form: FileForm, schema: pa.Schema) -> None:
        self.source, self._work, self._form, self._schema = source, work, form, schema
        self._files: dict[str, DocumentFile] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._languages: dict[str, Counter[str]] = {}
        self._licences: dict[str, Counter[str]] = {}
        self._end = (-1, -1)

    @property
    def most(self) -> int:
        """Bytes of text in the largest file."""
        return max((counts["text_bytes"] for counts in self._counts.values()), default=0)

    def add(self, rows: KeptRows) -> None:
        for split, (table, facts) in rows.splits.items():
            if split not in self._files:
                self._files[split] = self._form.make(self._new(split), self._schema)
                for held in (self._counts, self._languages, self._licences):
                    held[split] = Counter()
            self._files[split].add(table)
            size = pc.sum(facts.column("bytes")).as_py()
            self._counts[split].update(documents=table.num_rows, text_bytes=size)
            self._languages[split].update(_counted(facts.column("lang")))
            self._licences[split].update(_counted(facts.column("license")))
        self._end = (rows.unit, rows.batch)

    def _new(self, split: str) -> Path:
        before = sum(part.source == self.source and split in part.files for part in self._work.parts)
        folder = self._work.folder / "data" / self.source
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{split}-{before:05d}.{self._form.suffix}"

    def abandon(self) -> None:
        """Close the files as they are."""
        for file in self._files.values():
            file.abandon()

    def finish(self) -> Part:
        """Close the files and compare what is in them."""
        made = {}
        for split, file in self._files.items():
            file.close()
            made[split] = PartFile(
                path=file.path.relative_to(self._work.folder).as_posix(),
                bytes=file.path.stat().st_size,
                documents=self._counts[split]["documents"],
                text_bytes=self._counts[split]["text_bytes"],
                languages=dict(self._languages[split]),
                licences=dict(self._licences[split]),
            )
        return Part(self.source, *self._end, made)


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.value_counts(column).to_pylist()
    return {one["values"] or "": one["counts"] for one in counts}


def _number(work: Unfinished) -> None:
    """Give files the names of the Hub, which tell how many there are: `train-00000-of-00002.parquet`."""
    files = [(part.source, split, file) for part in work.parts for split, file in part.files.items()]
    count = Counter((source, split) for source, split, _ in files)
    for source, split, file in files:
        path = work.folder / file.path
        stem, dot, suffix = path.name.partition(".")
        path.rename(path.with_name(f"{stem}-of-{count[source, split]:05d}{dot}{suffix}"))
