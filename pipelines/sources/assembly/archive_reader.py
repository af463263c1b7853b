"""What readers of archives (tar, zip, git) share: which members may become documents, and caps on bombs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from corpusmill.pipelines.sources.assembly.code_reader import CodeReader, NamedRepositories

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector

_DRIVE = re.compile(r"[A-Za-z]:")


def is_unsafe(name: str) -> bool:
    """Whether a member's name is absolute, leads out of its folder or names no file, on any system, or holds
    NUL, at which programs in C end it."""
    parts = name.replace("\\", "/").split("/")
    return not (parts[0] and parts[-1]) or ".." in parts or "\0" in name or _DRIVE.match(name) is not None


def inner_name(name: str) -> str:
    """A member's name without the `./` that archives of the current folder begin with."""
    while name.startswith("./"):
        name = name[2:]
    return name


class MemberReader(CodeReader):
    """A reader of many files within one input: of members of an archive, or files of a commit."""

    def admits(self, collector: Collector, name: str, size: int, position: str) -> bool:
        """Whether the member of this name and size is wanted; else it is counted as removed.

        Names have slashes. Reasons, the first that holds: `unsafe_path`, `hidden`, `not_selected`,
        `too_large`.
        """
        parts = name.replace("\\", "/").split("/")
        if is_unsafe(name):
            collector.remove("unsafe_path", size, position)
        elif any(part.startswith(".") for part in parts):
            collector.remove("hidden", size, position)
        elif not self.chosen(parts[-1]) and not self.chosen_by_content(parts[-1]):
            collector.remove("not_selected", size, position)
        elif size > self.limit_of(name):
            collector.remove("too_large", size, position, f"over {self.limit_of(name)} bytes")
        else:
            return True
        return False


class ArchiveReader(NamedRepositories, MemberReader):
    """Options of `tar` and `zip` against archives that unpack to far more than they store.

    `max_ratio` is looked at where over 64 MiB of a tar archive, or over 1 MiB of a member of a zip archive,
    come out.
    """

    max_unpacked_bytes: int = Field(2**40, ge=1, description="Most bytes that one archive may unpack to.")
    max_ratio: int = Field(
        1000, ge=1, description="Most bytes that one stored byte may unpack to (deflate makes at most 1,032)."
    )
