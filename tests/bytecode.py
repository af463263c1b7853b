"""Bytecode of what tests import, kept where the environment has Python write none beside the sources.

Otherwise every process that a test starts compiles all that it imports: half of the seconds that a process
with torch takes to begin.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def keep() -> None:
    """For this process and those it starts: a folder of the user's cache, unless there is one already."""
    if not sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(home / "corpusmill-tests" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder
    sys.dont_write_bytecode, sys.pycache_prefix = False, folder
