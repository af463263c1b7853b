"""What the jobs of `hostile.py` are made of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """`work` on what `make(size)` gives; `make` is not timed. `costly`: seconds on whatever little."""

    name: str
    make: Callable[[int], Any]
    work: Callable[[Any], object]
    costly: bool = False


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A text of `unit` over and over."""
    return lambda size: before + unit * max(1, size // len(unit.encode())) + after


def then(make: Callable[[int], S], work: Callable[[S], T]) -> Callable[[int], T]:
    """`work` on what `make` gives."""
    return lambda size: work(make(size))


def numbered(form: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A text of `form`, in which `#` is a number, over and over."""
    parts = form.split("#")
    return lambda size: (
        before + "".join(n.join(parts) for n in map(str, range(size // (len(form) + 4)))) + after
    )


def parts_of(make: Callable[[int], str], most: int) -> Callable[[int], list[str]]:
    """Texts of at most about `most` bytes, which is a limit of what reads them."""
    return lambda size: [make(min(size, most))] * -(-size // most)


def joined(make: Callable[[int], str], most: int) -> Callable[[int], str]:
    """The same, one after the other."""
    parts = parts_of(make, most)
    return lambda size: "".join(parts(size))


def file_of(suffix: str, content: Callable[[int], str | bytes]) -> Callable[[int], Path]:
    """A file of `content`."""

    def make(size: int) -> Path:
        path = Path(tempfile.mkdtemp(dir=_folder())) / f"made{suffix}"
        _write(path, content(size))
        return path

    return make


def folder_of(contents: Callable[[int], Mapping[str, str | bytes]]) -> Callable[[int], Path]:
    """A folder of files, by name."""

    def make(size: int) -> Path:
        folder = Path(tempfile.mkdtemp(dir=_folder()))
        for name, content in contents(size).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _write(folder / name, content)
        return folder

    return make


def forget() -> None:
    """Remove what was written so far."""
    for path in _folder().iterdir():
        shutil.rmtree(path)


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="corpusmill-hostile-"))
