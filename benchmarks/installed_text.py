"""Text files installed on this machine: a large real corpus that every machine has, though not the same."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = frozenset(
    (
        *(".py", ".pyi", ".md", ".rst", ".txt", ".h", ".hpp", ".c", ".cpp", ".cuh", ".js", ".ts", ".css"),
        *(".html", ".pl", ".pm", ".sh", ".xml", ".json", ".yaml", ".po", ".rs", ".go", ".java"),
    )
)
LARGEST = 2**22  # of one file; data files beyond it would make up most of the text


def installed_texts(most: int) -> Iterator[str]:
    """Distinct UTF-8 text files, shuffled by the hash of their path, until `most` bytes are reached."""
    folders = dict.fromkeys(Path(folder) for folder in (sys.prefix, sys.base_prefix, "/usr"))
    files = sorted(
        (hashlib.sha256(path.encode()).digest(), path) for folder in folders for path in _files(folder)
    )
    seen: set[bytes] = set()
    size = 0
    for _, path in files:
        if size >= most:
            return
        content = Path(path).read_bytes()
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue
        size += len(content)
        yield text
    if size < most:
        sys.stderr.write(f"only {size / 1e6:.0f} MB of text are installed here\n")


def _files(folder: Path) -> Iterator[str]:
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base) / name
            if path.suffix in SUFFIXES and not path.is_symlink() and 0 < path.stat().st_size <= LARGEST:
                yield str(path)
