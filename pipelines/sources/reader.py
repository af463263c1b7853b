"""What a reader is: it splits one input file into ranges and reads one range at a time.

A reader never reads a file as merely short: `index` walks the file's framing once, and whatever it
cannot vouch for becomes a split with a `fault`, which the operator `read` quarantines and counts (or, with
`on_corrupt: fail`, stops at). `read` of the sound splits yields every record once: as a document, as
`removed` with a reason, or as `quarantined` with a fault.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.storage.sealed import read_json, sha256_file

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.sources.looking.look import Look


@dataclass(frozen=True)
class Split:
    """A range of one file, in the reader's own terms (bytes, row groups, members, ...).

    `size` is its bytes before decompression of documents inside it, used to balance units of work.
    `hint` is whatever the reader needs to start there (JSON-ready). `context` is what documents of the range
    depend on besides its bytes, in the reader's own words, such as a licence. `fault`, when set, says why the
    range cannot be read, with its position and the cure; such a split counts as one quarantined record.
    """

    start: int
    end: int
    size: int
    hint: tuple[int, ...] = ()
    fault: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class IndexedFile:
    """One file as an index holds it: its name, bytes, content hash (64 hex digits) and splits, in order."""

    name: str
    bytes: int
    sha256: str
    splits: tuple[Split, ...]


def read_index(path: Path) -> list[IndexedFile]:
    """The files of one `<unit>.index.json`. Raises IntegrityError where it is not what an index wrote."""
    return [decode(IndexedFile, entry, str(path)) for entry in read_json(path)]


@dataclass(frozen=True)
class Lost:
    """One record that did not become a document: why, how many bytes it had and where it stood."""

    why: str  # a short machine-readable code, counted in the ledger: `not_html`, `bad_json`, ...
    size: int
    position: str  # file and offset, line or member, for people
    detail: str = ""  # the parser's own words
    excerpt: str = ""  # at most 200 characters of the record


@dataclass(frozen=True)
class Batch:
    """Documents read together, in file order, and the records among them that were lost."""

    documents: Documents
    removed: list[Lost] = field(default_factory=list)
    quarantined: list[Lost] = field(default_factory=list)


@dataclass(frozen=True)
class Label:
    """The recipe's name for a source and what it holds; written into every document."""

    source: str
    domain: str


class Reader(Stage):
    """Base of readers, with the options that all of them have."""

    consumes: ClassVar[tuple[str, ...]] = ()
    produces: ClassVar[tuple[str, ...]] = ("text",)

    # Of so many files that hold something, the first by name, one must show a record that can be read.
    looked_at: ClassVar[int] = 3
    # Whether `index` reads a small part of a file: then a large object is not fetched whole for it, and its
    # size and ETag stand for its bytes.
    indexes_parts: ClassVar[bool] = False
    # Why its files have to lie on this machine, after the reader's name, with a cure; "" where they need not.
    local_only: ClassVar[str] = ""

    files: list[str] = Field(
        min_length=1,
        description="Glob patterns of the files or folders to read, relative to `data`, or of URLs.",
    )
    split_bytes: int = Field(
        32 * 2**20,
        ge=2**16,
        description="Bytes of a range of a file, about; units of work are made of ranges.",
    )
    on_corrupt: Literal["quarantine", "fail"] = Field(
        "quarantine", description="Quarantine what cannot be read and go on, or fail the run."
    )

    def expand(self, path: Path) -> list[Path]:
        """The input files a match of `files` stands for, sorted; a folder reader lists its folder."""
        return [path]

    def name_of(self, base: Path, file: Path) -> str:
        """What a file of `expand` is called: its path from `base`, the fixed part of its pattern."""
        return file.relative_to(base).as_posix()

    def stored_bytes(self, path: Path) -> int:
        """How large an input file is, to balance units of work."""
        return path.stat().st_size

    def state(self, path: Path, name: str) -> str:
        """What changes, beside the file's size and time, when the file has to be indexed again.

        Called for every file at the start of every run. Raises OSError.
        """
        return ""

    def content_hash(self, path: Path) -> str:
        """SHA-256, 64 hex digits, of what is read of an input file: by default of its bytes."""
        return sha256_file(path)

    def context(self, path: Path, name: str) -> str | None:
        """The `Split.context` of every split of a file, where that lies outside of the file; else None."""
        return None

    def look(self, path: Path) -> Look:
        """What the beginning of one file shows, before any work; reads at most about 1 MiB of it.

        The default tells an empty file and nothing of others. Raises OSError.
        """
        from corpusmill.pipelines.sources.looking.look import EMPTY, NOTHING

        return EMPTY if path.stat().st_size == 0 else NOTHING

    def footer(self, path: Path) -> bytes:
        """The end of a file with a sound split, by which each of its splits is read, up to the last byte: the
        index of a large object keeps it, so that units fetch their own ranges alone. b"" where there is none.
        """
        return b""

    @abstractmethod
    def index(self, path: Path) -> list[Split]:
        """Splits of one file, covering all of it, faults included. Memory: independent of file size."""

    @abstractmethod
    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of one sound split, each of about 4 MiB or 1,000 documents, of Parquet and Arrow files up
        to 8 MiB.

        `name` is the file's name relative to the pattern's fixed folder: use it, not `path`, for
        positions and for `path` columns of folder readers.
        """

    def divide(self, split: Split) -> list[Split]:
        """The smallest splits that a sound one consists of, by its numbers alone: what killed a worker is
        looked for in them. The default knows none smaller."""
        return [split]

    def lose(self, path: Path, name: str, split: Split, cause: str) -> Iterator[list[Lost]]:
        """What counts as lost where a split, or the rest of one, cannot be read: one record, unless the
        format says how many there are."""
        yield [Lost("corrupt_input", split.size, f"{name}@{split.start}", cause)]
