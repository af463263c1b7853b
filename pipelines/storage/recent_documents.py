"""Documents that this process has just written, to be read once more without decoding them.

A step reads what the one before it wrote. Where both run in one process, as by the engine `inline`, or in a
worker that gets the same unit again, the row groups of the file are still at hand. They are found by the
SHA-256 of its bytes, which whoever reads the file has compared with its receipt: a file that was altered is
damaged before anything is looked for here, and what is found is what decoding the file would give.

Memory: `MOST_BYTES` for units that are done, as much again for the one being written, and for one that
failed until the next has written its documents; of a unit that holds more, nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pyarrow as pa

MOST_BYTES = 64 * 2**20
"""Two units of documents as a recipe has them by default: 3% of what a unit at work may take."""


class Groups:
    """Row groups of a file that is being written, as long as they are few."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self.bytes = 0
        self.tables: list[pa.Table] | None = []

    def add(self, group: pa.Table) -> None:
        """The row group after those that were added."""
        self.bytes += group.get_total_buffer_size()
        if self.bytes > self._most:
            self.tables = None
        elif self.tables is not None:
            self.tables.append(group)


class RecentDocuments:
    """The last files of documents, by their content; the oldest leave first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._written: tuple[Path, Groups] | None = None  # not committed yet
        self._known: OrderedDict[str, Groups] = OrderedDict()

    def written(self, path: Path, groups: Groups) -> None:
        """What a file was made of that was written at `path`."""
        self._written = (path, groups) if groups.tables else None

    def committed(self, path: Path, sha256: str) -> None:
        """The file at `path` has this content, and is soon somewhere else."""
        if self._written is None or self._written[0] != path:
            return
        groups = self._written[1]
        self._written = None
        self._known.pop(sha256, None)
        while self._known and groups.bytes + sum(one.bytes for one in self._known.values()) > self._most:
            self._known.popitem(last=False)
        self._known[sha256] = groups

    def groups(self, sha256: str) -> list[pa.Table] | None:
        """The row groups of a file of this content, where they are at hand."""
        found = self._known.get(sha256)
        return None if found is None else found.tables


RECENT = RecentDocuments()
