"""What goes to other tools and comes from them: an export writes a format, an import reads one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Of = Literal["documents", "shards", "a tokenizer", "a model"]
Kind = Literal["documents", "shards", "tokenizer", "model"]  # the same as people write it
KINDS: Mapping[Kind, Of] = {
    "documents": "documents",
    "shards": "shards",
    "tokenizer": "a tokenizer",
    "model": "a model",
}
Facts = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """One format that is written: `write(what, out, **options)` returns what it wrote, for people and JSON.

    `of`: what is exported. `options`: those of the command line that it takes besides.
    """

    of: Of
    write: Callable[..., Facts]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Import:
    """One format that is read: `read(folder, out, **options)` returns what it wrote in our own form."""

    of: Of
    read: Callable[..., Facts]
    options: tuple[str, ...] = ()
