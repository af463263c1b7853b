"""Documents as one file a source, and one more for what is held out of it: what several exports share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.exports.content_digest import ContentDigest
from corpusmill.pipelines.inspection.kept_documents import TEST, kept_documents, kept_record
from corpusmill.pipelines.system.new_folder import new_folder


class DocumentFile(ABC):
    """One file that is being written; a digest of what went in proves what comes back."""

    def __init__(self, path: Path) -> None:
        self.path, self.documents = path, 0
        self._digest = ContentDigest()

    @abstractmethod
    def write(self, docs: Documents, digest: ContentDigest) -> None:
        """Write documents, which have the columns of the document schema alone, and add them to `digest`."""

    @abstractmethod
    def finish(self) -> None:
        """Write what stands at the file's end, and close it."""

    @abstractmethod
    def read_again(self, digest: ContentDigest) -> None:
        """Add the content of the finished file to `digest` as `write` did."""

    def add(self, docs: Documents) -> None:
        """Write documents and count them."""
        self.write(docs, self._digest)
        self.documents += len(docs)

    def close(self) -> None:
        """Finish the file, read it again and compare. Raises CorpusmillError where it differs."""
        self.finish()
        found = ContentDigest()
        self.read_again(found)
        if found.value() != self._digest.value():
            raise CorpusmillError(f"{self.path}: what was written comes back different; try another disk")


def export_by_source(
    run: Path, out: Path, suffix: str, make: Callable[[Path], DocumentFile]
) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`, as `SOURCE.<suffix>` and, where the run
    holds out some, `SOURCE.test.<suffix>`; returns what was written.

    Raises UserError where there is no run, a source is not complete, or `out` holds anything. Memory: one row
    group, and an open file of each source.
    """
    record = kept_record(run)
    files: dict[str, DocumentFile] = {}
    with new_folder(out) as folder:
        for source, split, docs in kept_documents(record):
            name = f"{source}.{TEST}.{suffix}" if split == TEST else f"{source}.{suffix}"
            if name not in files:
                files[name] = make(folder / name)
            files[name].add(docs)
        if not files:
            raise UserError(f"{run}: the run keeps no documents, so there is nothing to write")
        for file in files.values():
            file.close()
    return {"folder": str(out), "documents": {name: file.documents for name, file in sorted(files.items())}}
