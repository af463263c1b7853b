"""Text files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class Text(Reader):
    """Reads text files (plain, .gz, .zst, .bz2, .xz) and folders of them, one file a document.

    A folder is walked for files with one of `suffixes`; hidden files and symbolic links are passed over.
    Bytes must be UTF-8: nothing is guessed. A byte-order mark is not part of the text. `path` is the name
    below the pattern's fixed folder; ids come from it and the bytes.

    Removed: `too_large` (over `max_record_bytes` uncompressed, never held). Quarantined: `bad_utf8`,
    `binary` (NUL). Empty files are documents.
    """

    looked_at: ClassVar[int] = 30  # a file is one record
    libraries: ClassVar[tuple[str, ...]] = ("isal", "zstandard")

    suffixes: list[str] = Field(
        default_factory=lambda: [".txt", ".text", ".md", ".markdown", ".rst", ".tex"],
        description="Suffixes of the files that are read below a folder.",
    )
    max_record_bytes: int = Field(
        64 * 2**20, ge=1, description="Most bytes of a file, uncompressed; larger ones are removed."
    )

    def expand(self, path: Path) -> list[Path]:
        """The text files of a folder, in path order; a file stands for itself."""
        from corpusmill.pipelines.sources.framing.folders import files_of

        return files_of(path, self._chosen) if path.is_dir() else [path]

    def _chosen(self, name: str) -> bool:
        lower = name.lower()
        for suffix in _COMPRESSED:
            lower = lower.removesuffix(suffix)
        return lower.endswith(tuple(suffix.lower() for suffix in self.suffixes))

    def look(self, path: Path) -> Look:
        """Whether the first MiB is text."""
        from corpusmill.pipelines.sources.looking.framed import look_at_text

        return look_at_text(path)

    def index(self, path: Path) -> list[Split]:
        """One split; a compressed file is proved whole."""
        from corpusmill.pipelines.sources.framing.whole_files import index_whole

        return index_whole(path)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """One batch of one document, or of its loss."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.assembly.plain_text import BOM, text_fault
        from corpusmill.pipelines.sources.framing.whole_files import read_whole

        collector = Collector(label)
        name = name.replace("\\", "/")
        content = read_whole(path, self.max_record_bytes)
        if content is None:
            collector.remove("too_large", split.size, name, f"over {self.max_record_bytes} bytes")
        elif (fault := text_fault(content)) is not None:
            collector.quarantine(fault[0], len(content), name, fault[1], content)
        else:
            collector.add(name, content, text=content.removeprefix(BOM), path=name, meta={})
        yield collector.take()
