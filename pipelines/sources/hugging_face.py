"""Folders in the layout of the Hugging Face Hub, or that its library `datasets` saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.sources.assembly.record_reader import RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Lost, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class HuggingFace(RecordReader):
    """Reads a data set as it lies in a repository of the Hugging Face Hub, from a folder that was fetched
    before.

    `files` names the folder. The `configs` in its README.md say which files belong to which `config` and
    `split`; without them the files' names do, `data/train-00000-of-00002.parquet`. A config called `default`,
    or that says it is, is taken where none is named, and so is the only split. A folder that `save_to_disk`
    wrote is read as by `arrow`. Each file is read as by `parquet`, `arrow`, `jsonl` or `csv`, told by its
    first bytes; fields are mapped and rows quarantined as by those. Fields of CSV stand between commas or
    tabs, whichever the first line has more of; if neither, between semicolons or bars.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "pyarrow", "zstandard")

    config: str | None = Field(None, description="Config of the data set; null: the default or the only one.")
    split: list[str] | str | None = Field(
        None, description="Splits to read, such as [train, validation]; null: the only one."
    )

    def expand(self, path: Path) -> list[Path]:
        """The files of the config and split; a file stands for itself. Raises RecipeError."""
        from corpusmill.pipelines.sources.looking.hub_layout import dataset_files
        from corpusmill.pipelines.sources.looking.saved_datasets import is_saved, saved_files

        if not path.is_dir():
            return [path]
        return (
            saved_files(path, self.split) if is_saved(path) else dataset_files(path, self.config, self.split)
        )

    def warm(self) -> None:
        """Compile what the reader of JSON Lines needs."""
        from corpusmill.pipelines.sources.jsonl import Jsonl

        Jsonl(files=["-"]).warm()

    def _of(self, path: Path) -> Reader:
        """The reader of one file."""
        from corpusmill.pipelines.sources.arrow import Arrow
        from corpusmill.pipelines.sources.csv import Csv
        from corpusmill.pipelines.sources.jsonl import Jsonl
        from corpusmill.pipelines.sources.looking.formats import format_of, head_of
        from corpusmill.pipelines.sources.parquet import Parquet

        options = {name: getattr(self, name) for name in RecordReader.model_fields}
        head, _ = head_of(path)
        kind = format_of(head)
        if kind == "parquet":
            return Parquet(**options)
        if kind == "arrow":
            return Arrow(**options)
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not text or text.startswith((b"{", b"[")):
            return Jsonl(**options)
        return Csv(**options, delimiter=_delimiter(text.split(b"\n", 1)[0]))

    def look(self, path: Path) -> Look:
        """As the file's own reader."""
        return self._of(path).look(path)

    def index(self, path: Path) -> list[Split]:
        """As the file's own reader."""
        return self._of(path).index(path)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """As the file's own reader."""
        yield from self._of(path).read(path, name, split, label)

    def divide(self, split: Split) -> list[Split]:
        """As the split's own reader, which its hint tells: of row groups there is none, of lines a place."""
        from corpusmill.pipelines.sources.arrow import Arrow
        from corpusmill.pipelines.sources.parquet import Parquet

        if len(split.hint) == 2:
            return [split]
        return (Arrow if split.hint else Parquet)(files=self.files).divide(split)

    def lose(self, path: Path, name: str, split: Split, cause: str) -> Iterator[list[Lost]]:
        """As the file's own reader."""
        yield from self._of(path).lose(path, name, split, cause)


def _delimiter(first: bytes) -> str:
    """What stands between the fields of a CSV file with this first line."""
    for ones in (b",\t", b";|"):
        best = max((ones[:1], ones[1:]), key=first.count)
        if best in first:
            return best.decode()
    return ","
