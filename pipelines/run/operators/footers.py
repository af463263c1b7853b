"""Footers of large objects, kept beside the index that they were read for.

A unit that reads row groups of a Parquet object needs its footer, which lies elsewhere in the object: one
more request for each object and machine. The index has read it, so it keeps it, as a batch of a file with
checksums (`checked_ipc`) for each entry of the index, an empty one where there is none. What is read by a
footer that was kept is asked for on condition that the object is the version that was indexed.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.storage.checked_ipc import BatchWriter, committed_batch
from corpusmill.pipelines.storage.run_folder import StepFolder

FOOTERS = "footers.arrow"
_SCHEMA = pa.schema([("footer", pa.large_binary())])

Kept = tuple[int, int]
"""Where a footer is: the unit of the index, and the place of its file among the unit's."""


class Footers:
    """Writes the footers of a unit's files, in their order."""

    def __init__(self, path: Path) -> None:
        self._writer = BatchWriter(path, _SCHEMA)

    def add(self, footer: bytes) -> None:
        self._writer.write(pa.record_batch([pa.array([footer], pa.large_binary())], schema=_SCHEMA))

    def close(self) -> None:
        self._writer.__exit__(None, None, None)


def keeps_footers(index: StepFolder, unit: int) -> bool:
    """Whether a unit of an index kept footers."""
    return index.has(f"{unit:05d}.{FOOTERS}")


def kept_footer(index: StepFolder, kept: Kept | None) -> bytes:
    """A footer that was kept; b"" where there is none. Raises IntegrityError where it was damaged."""
    if kept is None:
        return b""
    unit, place = kept
    found: bytes = committed_batch(index, f"{unit:05d}.{FOOTERS}", place).column("footer")[0].as_py()
    return found
