"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.process import sync


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` at the end, or nothing where the inside fails.

    It lies beside its own place, is synced, and renamed; who may read the folder may read its files. What a
    kill left behind under the temporary name is replaced. Raises UserError where `folder` is a file or holds
    anything: nothing is overwritten.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is already there; remove it or name another folder")
    unfinished = folder.with_name(f".{folder.name}.tmp")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        mode = unfinished.stat().st_mode & 0o666
        for path in (*sorted(unfinished.rglob("*")), unfinished):
            if path.is_file():
                path.chmod(mode)  # safetensors makes files for their owner alone
            sync(path)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    unfinished.replace(folder)
    sync(folder.parent)
