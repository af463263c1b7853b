"""Source-code trees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from corpusmill.pipelines.sources.assembly.code_reader import LICENSE_LIBRARIES, NamedRepositories
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class Tree(NamedRepositories):
    """Reads folders of source code, one file a document.

    `files` name folders (walked) or files. Which files are taken is a choice, like the pattern itself:
    files not chosen by `include` and `exclude`, hidden ones and symbolic links are not records and not
    counted. With `repo_depth: 1` the file `redis/src/ae.c` below the pattern's fixed folder has `repo`
    "redis" and `path` "src/ae.c". `license` comes from the file's SPDX tag, else the option, else the nearest
    licence file of its folder or one above, up to the repository's. `meta.code_language` comes from the name
    and, where languages share a suffix or there is none, from the content. Ids: from the whole relative path
    and the bytes.

    Removed: `too_large`. Quarantined: `bad_utf8` (bytes that are no UTF-8; nothing is guessed), `binary`
    (NUL), `bad_notebook`. A byte-order mark is not part of the text. Empty files are documents.
    """

    libraries: ClassVar[tuple[str, ...]] = LICENSE_LIBRARIES
    looked_at: ClassVar[int] = 30  # a file is one record
    local_only: ClassVar[str] = "walks folders of this machine; store them as .tar.zst for `tar`"

    def expand(self, path: Path) -> list[Path]:
        """The chosen files of a folder, in path order; a file stands for itself if chosen."""
        from corpusmill.pipelines.sources.framing.folders import files_of

        if path.is_dir():
            return files_of(path, self.chosen, self._chosen_by_content)
        if path.name.startswith(".") or path.is_symlink():
            return []
        return [path] if self.chosen(path.name) or self._chosen_by_content(path) else []

    def _chosen_by_content(self, path: Path) -> bool:
        """Whether the shebang of a file without a suffix tells its language."""
        from corpusmill.pipelines.sources.assembly.language_evidence import shebang_language

        if not self.chosen_by_content(path.name):
            return False
        try:
            with path.open("rb") as file:
                return shebang_language(file.read(512)) is not None
        except OSError:
            return False

    def look(self, path: Path) -> Look:
        """Whether the first MiB is text."""
        from corpusmill.pipelines.sources.looking.framed import look_at_text

        return look_at_text(path, packed=False)

    def _license_folders(self, path: Path, name: str) -> Iterator[Path]:
        """The file's folder and those above it, up to the repository's; none where none is looked at."""
        if self.looks_for_licenses:
            parts = name.split("/")
            depth = self.repo_depth if len(parts) > self.repo_depth else 0
            yield from list(path.parents)[: len(parts) - depth]

    def state(self, path: Path, name: str) -> str:
        """Names, sizes and times of the files that may say its licence."""
        from corpusmill.pipelines.sources.licences.folders import disk_state

        found = [disk_state(folder) for folder in self._license_folders(path, name)]
        return repr(found) if any(found) else ""

    def context(self, path: Path, name: str) -> str | None:
        """The licence that the nearest folder says."""
        from corpusmill.pipelines.sources.licences.folders import disk_license, disk_state

        for folder in self._license_folders(path, name):
            license = disk_license(folder, disk_state(folder))
            if license is not None:
                return license
        return None

    def index(self, path: Path) -> list[Split]:
        """One split: a file is one record and has no framing to prove."""
        size = path.stat().st_size
        return [Split(0, size, size)]

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """One batch of one document, or of its loss."""
        from corpusmill.pipelines.sources.assembly.batches import Collector

        collector = Collector(label)
        name = name.replace("\\", "/").removeprefix("./")
        with path.open("rb") as file:
            content = file.read(self.limit_of(name) + 1)
        if len(content) > self.limit_of(name):
            collector.remove("too_large", split.size, name, f"over {self.limit_of(name)} bytes")
        else:
            self.add_file(collector, content, name, *self.divided(name), found=split.context)
        yield collector.take()
