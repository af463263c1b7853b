"""Texts of files: JSON Lines, Parquet and plain text, by the project's own readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.evaluation.strata import Texts, strata_of

_COMPRESSED = (".zst", ".gz")


def read_texts(files: Sequence[Path], lost: Counter[str]) -> Iterator[Texts]:
    """Batches of the documents of `files`, one after the other; what readers lose is counted in `lost`.

    A file's kind follows its name: `.jsonl`, `.json` and `.ndjson` (objects with a field `text`), `.parquet`
    (a column `text`), anything else one text a file; a folder stands for the text files below it. The
    source of a document is what its record calls `source`, else the name of the file (without its
    suffixes) or of the folder. Raises UserError for a file that is not there.
    """
    from corpusmill.pipelines.sources.jsonl import Jsonl
    from corpusmill.pipelines.sources.parquet import Parquet
    from corpusmill.pipelines.sources.reader import Label, Reader
    from corpusmill.pipelines.sources.text import Text

    for path in files:
        if not path.exists():
            raise UserError(f"{path}: does not exist; give files of text, JSON Lines or Parquet")
        suffix = _bare(path).suffix.lower()
        reader: Reader
        if path.is_dir():
            reader = Text(files=["*"])
        elif suffix == ".parquet":
            reader = Parquet(files=["*"])
        elif suffix in (".jsonl", ".json", ".ndjson"):
            reader = Jsonl(files=["*"])
        else:
            reader = Text(files=["*"])
        label = Label(_source_of(path), "text")
        for file in reader.expand(path):
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            for split in reader.index(file):
                if split.fault is not None:
                    lost[f"{name}: {split.fault}"] += 1
                    continue
                for batch in reader.read(file, name, split, label):
                    lost.update(one.why for one in (*batch.removed, *batch.quarantined))
                    if len(batch.documents):
                        yield Texts(
                            batch.documents.text.fill_null(""), strata_of(batch.documents, row_sources=True)
                        )


def _bare(path: Path) -> Path:
    """`path` without the suffix of a compression."""
    return path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path


def _source_of(path: Path) -> str:
    """What the documents of a file are called: a run's dataset of one source names it, else the file."""
    import pyarrow.parquet as pq

    if _bare(path).suffix.lower() == ".parquet" and path.is_file():
        with pq.ParquetFile(path) as file:
            if "source" in file.schema_arrow.names:
                named = file.read(columns=["source"]).column("source").unique().to_pylist()
                if len(named) == 1 and isinstance(named[0], str):
                    return named[0]
    return _bare(path).stem if path.is_file() else path.name
