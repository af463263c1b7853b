"""Which rows of a unit came from which of the ranges of input that it read, in the footer of its file.

Like the sizes of texts (`text_sizes.py`) it is a value of the Parquet file's own metadata: of each range the
rows written, and the rows of the unit's list of removed documents, up to its end. Units of one range say
nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import damaged

_KEY = "corpusmill.rows_of_ranges"


def as_metadata(kept: Sequence[int], removed: Sequence[int]) -> dict[str, str]:
    """What a file's footer says: of each range how many rows are written, and listed as removed, when it
    ends."""
    if len(kept) < 2:
        return {}
    return {_KEY: json.dumps([list(kept), list(removed)], separators=(",", ":"))}


def range_of(path: Path, row: int, *, removed: bool) -> int | None:
    """The number of the range that a row of a unit's Parquet file came from, or (`removed`) a row of its list
    of removed documents; None where the footer does not say.

    Raises IntegrityError for a footer that is not what was written.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        said = (file.metadata.metadata or {}).get(_KEY.encode())
    if said is None:
        return None
    try:
        ends = json.loads(said)[int(removed)]
        found = bisect_right(ends, row)
    except (ValueError, TypeError, IndexError) as error:
        raise damaged(f"{path}: its footer does not tell the ranges of its rows ({error})") from error
    return found if found < len(ends) else None
