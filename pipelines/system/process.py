"""What a process takes of the machine: memory, the garbage collector's time, writes that reach the disk."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT_BYTES = 3 * 2**27  # more of a process, beside what Arrow has given out, is asked back


def resident_bytes() -> int:
    """Resident memory of this process, in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def return_memory() -> None:
    """Return memory to the system that Arrow keeps for later, which may be all that a large document took."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def return_much_memory() -> None:
    """`return_memory`, where Arrow may keep over `KEPT_BYTES`."""
    import pyarrow as pa

    if resident_bytes() - pa.total_allocated_bytes() > KEPT_BYTES:
        return_memory()


@contextmanager
def without_collecting() -> Iterator[None]:
    """Keep the garbage collector from looking through millions of objects, none of them garbage, while they
    are made: that takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def sync(path: Path) -> None:
    """Have the system write a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
