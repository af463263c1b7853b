"""Index input files: content hash, and the splits a reader found by walking the file's framing.

A unit is a run of files of about `unit_bytes`. Results hold names, never absolute paths, so that moving the
input folder changes nothing downstream. A file that a reader raises on, or dies of, is one fault from its
beginning to its end. Of large objects that are indexed by a part the footers are kept too (`footers.py`).
Memory: one file's list of splits, and its footer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from corpusmill.pipelines.recipe.places import (
    name_fault,
    on_disk,
    read_by_footer,
    stored_bytes,
    told_by_version,
)
from corpusmill.pipelines.records.receipt import IndexPart, UnitResult
from corpusmill.pipelines.run.inputs import check_state
from corpusmill.pipelines.run.operators.apart import is_of_input
from corpusmill.pipelines.run.operators.causes import words_of
from corpusmill.pipelines.run.operators.footers import FOOTERS, Footers
from corpusmill.pipelines.run.operators.grouping import grouped
from corpusmill.pipelines.run.operators.job import Job, Preparation, build_stage
from corpusmill.pipelines.run.operators.marker import PARTS
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.sources.reader import IndexedFile, Reader, Split
from corpusmill.pipelines.storage.run_folder import Attempt
from corpusmill.pipelines.storage.sealed import write_json

_FILES_PER_UNIT = 512


@dataclass(frozen=True)
class FilesUnit:
    """Files to index: name and path of each."""

    files: tuple[tuple[str, str], ...]


def units(preparation: Preparation) -> list[FilesUnit]:
    reader = build_stage(preparation.step.stages[0])
    assert isinstance(reader, Reader)
    found = grouped(
        preparation.paths.items(),
        name=lambda file: file[0],
        size=lambda file: stored_bytes(reader, file[1]),
        most_bytes=8 * preparation.unit_bytes,
        most_items=_FILES_PER_UNIT,
    )
    return [FilesUnit(tuple(files)) for files in found]


def _content(given: Preparation | Job[FilesUnit], unit: FilesUnit) -> object:
    """With paths, since sizes and times tell versions of one file apart, not two files of one name."""
    return [[name, path, given.stamps[path]] for name, path in unit.files]


def work(job: Job[FilesUnit], attempt: Attempt) -> UnitResult:
    (reader,) = job.stages()
    entries: list[IndexedFile] = []
    by_footer = [read_by_footer(reader, path, job.stamps.get(path)) for _, path in job.unit.files]
    footers = Footers(attempt.file(FOOTERS)) if any(by_footer) else None
    marker = job.marker(attempt)
    for number, (name, path) in enumerate(job.unit.files, PARTS):
        if marker is not None and marker.skips(number):
            continue
        if marker is not None:
            marker.note(number, 0)
        stamp = job.stamps.get(path)
        version = told_by_version(reader, path, stamp)
        with on_disk(path, stamp, whole=version is None) as file:
            splits = splits_of(reader, file, name, job.poison.get(number), name_fault(path))
            check_state(reader, name, path, stamp)
            if marker is not None:
                marker.rest(number + 1)
            content = reader.content_hash(file) if version is None else version
            if footers is not None:
                keep = by_footer[number - PARTS] and any(split.fault is None for split in splits)
                footers.add(reader.footer(file) if keep else b"")
            entries.append(IndexedFile(name, file.stat().st_size, content, tuple(splits)))
    if footers is not None:
        footers.close()
    write_json(attempt.file("index.json"), [asdict(entry) for entry in entries])
    return UnitResult(len(entries), part=IndexPart(sum(entry.bytes for entry in entries)))


def splits_of(
    reader: Reader, file: Path, name: str, poison: tuple[str, str] | None, unnamed: str | None = None
) -> list[Split]:
    """The splits of a file; one fault where the reader raises on it, or is not shown it, since it killed a
    worker (`poison`) or has no name in UTF-8 (`unnamed`)."""
    if unnamed is not None:
        return [Split(0, 0, file.stat().st_size, (), unnamed)]
    if poison is not None:
        cause = poison[1]
    else:
        try:
            splits, context = reader.index(file), reader.context(file, name)
            return splits if context is None else [replace(split, context=context) for split in splits]
        except Exception as error:
            if not is_of_input(error):
                raise
            cause = words_of(error)
    fault = f"byte 0: the file cannot be indexed ({cause}); fetch or write it again, or leave it out"
    return [Split(0, 0, file.stat().st_size, (), fault)]


OPERATOR = Operator(
    "index",
    reads="files",
    writes="splits",
    unit=FilesUnit,
    units=units,
    work=work,
    isolates=True,
    content=_content,
    paths=lambda unit: [path for _, path in unit.files],
)
