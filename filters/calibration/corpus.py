"""The corpus that limits are chosen on: documents of JSON Lines and Parquet files, by language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import UserError

_COMPRESSED = (".zst", ".gz")


@dataclass(frozen=True)
class Part:
    """Documents of one language from one file; `corpus` is the file's name without suffixes."""

    corpus: str
    language: str
    documents: Documents


def read_parts(files: Sequence[Path], language: str | None) -> Iterator[Part]:
    """The documents of `files`, a batch and language at a time.

    A document's language is its column or field `lang`, or `language` for those that have none. Raises
    UserError for a file of another kind, one that a reader cannot read whole, a document without
    language, and a `language` that is no code.
    """
    import pyarrow.compute as pc

    from corpusmill.filters.rules.language_codes import code_meant, unknown_codes

    if language is not None and (wrong := unknown_codes([language])):
        raise UserError(f"--lang: {wrong[0]}")
    for path in files:
        for docs in _batches(path):
            given = docs.column("lang").cast(pa.string())
            codes = pc.fill_null(given, language) if language is not None else given
            if codes.null_count:
                raise UserError(
                    f"{path}: a document has no field `lang`; say which language they are of: --lang CODE"
                )
            for code in pc.unique(codes).to_pylist():
                mine = docs.keep(pc.equal(codes, code).to_numpy(zero_copy_only=False))
                yield Part(_stem(path), code_meant(code) or code, mine)


def _batches(path: Path) -> Iterator[Documents]:
    from corpusmill.pipelines.sources.jsonl import Jsonl
    from corpusmill.pipelines.sources.parquet import Parquet
    from corpusmill.pipelines.sources.reader import Label, Reader

    suffix = _bare(path).suffix.lower()
    if not path.is_file() or suffix not in (".jsonl", ".ndjson", ".parquet"):
        raise UserError(f"{path}: give files of JSON Lines (.jsonl, .jsonl.zst, .jsonl.gz) or Parquet")
    reader: Reader = Parquet(files=["*"]) if suffix == ".parquet" else Jsonl(files=["*"])
    for split in reader.index(path):
        if split.fault is not None:
            raise UserError(f"{path}: {split.fault}")
        for batch in reader.read(path, path.name, split, Label(_stem(path), "text")):
            lost = [*batch.removed, *batch.quarantined]
            if lost:
                first = lost[0]
                cause = f"{first.why}: {first.detail}" if first.detail else first.why
                raise UserError(
                    f"{path}: {len(lost)} of its documents cannot be read, the first at {first.position} "
                    f"({cause}); correct or delete them"
                )
            if len(batch.documents):
                yield batch.documents


def _bare(path: Path) -> Path:
    """`path` without the suffix of a compression."""
    return path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path


def _stem(path: Path) -> str:
    return _bare(path).stem
