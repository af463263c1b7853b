"""What `sample` prints: what was written, by folder."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.records.codec import Json


def render_sample(folder: Path, found: Json) -> str:
    """A row for each folder of the sample: files, documents, bytes of text and of files."""
    groups: dict[str, list[Json]] = {}
    for name, held in found["files"].items():
        groups.setdefault(name.split("/")[0], []).append(held)
    columns = ("documents", "text_bytes", "bytes")
    rows = [
        (name, len(files), *(sum(file[column] for file in files) for column in columns))
        for name, files in sorted(groups.items())
    ]
    whole = ("all", *(sum(row[at] for row in rows) for at in range(1, 5)))
    shown = [(*row[:3], text.size(row[3]), text.size(row[4])) for row in (*rows, whole)]
    return "\n".join(
        [
            text.table(("sample", "files", "documents", "text", "on disk"), shown),
            "",
            f"from {len(found['packages']):,} packages installed here; hashes of all files: "
            f"{folder / 'SAMPLE.json'}",
        ]
    )
