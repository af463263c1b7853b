"""Files that tests write are not awaited on the disk.

Tests kill processes, never the machine: what a killed process has written, the system keeps without `fsync`.
A small run asks for some 250 of them, which is a third of its time on a busy disk. Processes that tests start
in full wait for the disk, as those of a user do.
"""

from __future__ import annotations

import os
from typing import Any


def wait_for_no_disk() -> None:
    """From now on `os.fsync` of this process, and of its forks, only checks that its file is open."""
    os.fsync = _checked


def _checked(file: Any) -> None:
    """Raises OSError as `os.fsync` does where `file`, a descriptor or a file object, is closed."""
    os.fstat(file if isinstance(file, int) else file.fileno())
