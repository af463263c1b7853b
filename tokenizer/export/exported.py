"""A tokenizer in the format of another library, verified before it is kept.

A format `x` is the function `write(folder, source)` in `tokenizer/exports/x.py`, which returns the names of
the files it wrote and raises UserError where ids would change.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.exports.find import exports_named

if TYPE_CHECKING:
    from corpusmill.tokenizer.export.source import Source


def tokenizer_export(name: str) -> Export:
    """The export of tokenizers whose module in `tokenizer/exports` has this name."""

    def write(what: Path, out: Path) -> dict[str, Any]:
        return export_tokenizer(what, name, out)

    return Export("a tokenizer", write)


def export_tokenizer(folder: Path, to: str, out: Path) -> dict[str, Any]:
    """Write the tokenizer of the artefact `folder` in the format `to` into the folder `out`.

    `folder` may also be a tokenizer file that `load_tokenizer` reads without further options. Formats:
    `huggingface`, `tiktoken`, `gguf` (metadata for a converter) and `sentencepiece` (models trained so).
    Nothing is written to `out` before the library of the format, where it is installed, has given the
    tokenizer's own ids and texts back for the probes of `export.verify`; each file then replaces its
    predecessor whole. Returns format, files (name -> SHA-256), and `verified`: library, texts and tokens
    compared, or null with `unverified` saying why; and, where there are any, `dropped`: parts of the file
    that are random, cut texts or add tokens, which are left out, and flags of added tokens that the format
    has no place for; and `lossy`: parts that change texts, which `huggingface` keeps and the other formats
    refuse. Raises UserError for an unknown format and where the format cannot keep the ids, CorpusmillError
    where the library gives others.
    """
    from corpusmill.pipelines.storage.sealed import sha256_file, write_atomic
    from corpusmill.tokenizer.bpe.definition_parts import flags_without_place, lossy_parts
    from corpusmill.tokenizer.export.source import open_source
    from corpusmill.tokenizer.export.verify import LIBRARIES, verify_export

    exports_named(to)  # raises where there is none
    write = importlib.import_module(f"corpusmill.tokenizer.exports.{to}").write
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder to write the tokenizer into")
    source: Source = open_source(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as draft:
        names = write(Path(draft), source)
        verified = verify_export(Path(draft), to, source.text, source.roles)
        for name in names:
            write_atomic(out / name, (Path(draft) / name).read_bytes())
    lost = [] if to == "huggingface" else flags_without_place(source.definition, to)
    said = {
        "dropped": [*source.dropped, *lost],
        "lossy": lossy_parts(source.definition) if to == "huggingface" else [],
    }
    return {
        "format": to,
        "files": {name: sha256_file(out / name) for name in names},
        "verified": verified,
        "unverified": None if verified else f"{LIBRARIES[to]} is not installed",
        **{name: parts for name, parts in said.items() if parts},
    }
