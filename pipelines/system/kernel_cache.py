"""Where compiled kernels are kept: a folder named after the kernels' sources.

numba notices a change in the file a kernel stands in, but not in the kernels it calls; a stale cache would
change output silently. So every version of the sources gets a cache folder of its own, below
`$XDG_CACHE_HOME/corpusmill` (default `~/.cache/corpusmill`). A `NUMBA_CACHE_DIR` already set is left alone.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import corpusmill

_ROOT = Path(corpusmill.__file__).parent
_SETTINGS = ".numba_config.yaml"


@cache
def kernel_digest() -> str:
    """SHA-256 over the sources of all kernels and the version of numba, 64 hex digits."""
    digest = hashlib.sha256(version("numba").encode())
    for room in sorted(path for path in _ROOT.iterdir() if path.is_dir()):
        for path in sorted(room.rglob("kernels/*.py")):
            digest.update(f"\0{room.name}/{path.relative_to(room).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def use_kernel_cache() -> None:
    """Point numba at the folder of these sources. Call before numba is imported; later calls do nothing."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("NUMBA_CACHE_DIR", str(home / "corpusmill" / f"kernels-{kernel_digest()[:16]}"))
    _ignore_settings_beside_the_data()


def _ignore_settings_beside_the_data() -> None:
    """Keep numba from reading `.numba_config.yaml` in the working directory, which may name code to import.

    numba reads it when it is imported and again when it compiles, and has no setting against it.
    """
    if not Path(_SETTINGS).is_file():
        return
    here = Path.cwd()
    os.chdir(_ROOT)
    try:
        import numba.core.config as settings
    finally:
        os.chdir(here)
    settings._config_fname = ""
