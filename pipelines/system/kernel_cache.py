"""Where compiled kernels are kept: a folder named after the kernels' sources.

numba notices a change in the file a kernel stands in, but not in the kernels it calls nor in the constants it
uses; a stale cache would change output silently. So every version of the sources, which are the modules in
folders named `kernels` and all that these import, gets a cache folder of its own, below
`$XDG_CACHE_HOME/corpusmill` (default `~/.cache/corpusmill`). A `NUMBA_CACHE_DIR` already set is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import corpusmill

_ROOT = Path(corpusmill.__file__).parent
_SETTINGS = ".numba_config.yaml"
_IMPORTS = re.compile(rb"^from (corpusmill(?:\.\w+)*) import (\([^)]*\)|.*)$", re.MULTILINE)
_NAME = re.compile(rb"\w+")


@cache
def kernel_digest() -> str:
    """SHA-256 over the sources of all kernels and the version of numba, 64 hex digits."""
    digest = hashlib.sha256(version("numba").encode())
    for path, text in sorted(_sources().items()):
        digest.update(f"\0{path.relative_to(_ROOT).as_posix()}\0".encode())
        digest.update(text)
    return digest.hexdigest()


def _sources() -> dict[Path, bytes]:
    """The modules in folders named `kernels`, and those that they import, however deep."""
    found: dict[Path, bytes] = {}
    waiting = [path for room in _ROOT.iterdir() if room.is_dir() for path in room.rglob("kernels/*.py")]
    while waiting:
        path = waiting.pop()
        if path not in found and path.is_file():
            found[path] = path.read_bytes()
            for module, names in _IMPORTS.findall(found[path]):
                folder = _ROOT.joinpath(*module.decode().split(".")[1:])
                waiting.append(folder.with_suffix(".py"))
                if folder.is_dir():
                    waiting += [folder / f"{name.decode()}.py" for name in _NAME.findall(names)]
    return found


def kernel_cache() -> Path:
    """The folder in which numba keeps the kernels of these sources: `NUMBA_CACHE_DIR` where it is set."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own = home / "corpusmill" / f"kernels-{kernel_digest()[:16]}"
    return Path(os.environ.get("NUMBA_CACHE_DIR") or own)


def use_kernel_cache() -> None:
    """Point numba at the folder of these sources. Call before numba is imported; later calls do nothing."""
    os.environ["NUMBA_CACHE_DIR"] = str(kernel_cache())
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
