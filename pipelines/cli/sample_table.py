"""What `sample` prints: what was written, by folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text


def render_sample(folder: Path, found: Mapping[str, Any]) -> str:
    """A row for each folder of the sample, from what SAMPLE.json says: files, documents, bytes of text and of
    files."""
    groups: dict[str, list[Mapping[str, int]]] = {}
    for name, file in found["files"].items():
        groups.setdefault(name.split("/")[0], []).append(file)
    rows = [(name, *_sums(files)) for name, files in sorted(groups.items())]
    rows.append(("all", *_sums([file for files in groups.values() for file in files])))
    shown = [(name, files, documents, text.size(texts), text.size(size))
             for name, files, documents, texts, size in rows]  # fmt: skip
    return "\n".join(
        [
            text.table(("sample", "files", "documents", "text", "on disk"), shown),
            "",
            f"from {len(found['packages']):,} packages installed here; hashes of all files: "
            f"{folder / 'SAMPLE.json'}",
        ]
    )


def _sums(files: Sequence[Mapping[str, int]]) -> tuple[int, int, int, int]:
    """Number of files, their documents, bytes of text, and bytes."""
    documents, texts, sizes = (
        sum(file[column] for file in files) for column in ("documents", "text_bytes", "bytes")
    )
    return len(files), documents, texts, sizes
