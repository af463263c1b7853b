"""What the jobs of `hostile.py` are made of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """`work` on what `make(size)` gives; `make` is not timed."""

    name: str
    make: Callable[[int], Any]
    work: Callable[[Any], object]


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A text of `unit` over and over."""
    return lambda size: before + unit * max(1, size // len(unit.encode())) + after


def numbered(form: str, before: str = "", after: str = "") -> Callable[[int], str]:
    """A text of `form`, in which `#` is a number, over and over."""
    return lambda size: (
        before + "".join(form.replace("#", str(n)) for n in range(size // (len(form) + 4))) + after
    )


def file_of(suffix: str, content: Callable[[int], str | bytes]) -> Callable[[int], Path]:
    def make(size: int) -> Path:
        made = content(size)
        path = _folder() / f"{abs(hash((suffix, size, len(made))))}{suffix}"
        path.write_bytes(made.encode() if isinstance(made, str) else made)
        return path

    return make


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="corpusmill-hostile-"))
