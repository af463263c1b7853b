"""HTML files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class Html(Reader):
    """Reads HTML files (plain, .gz, .zst, .bz2, .xz) and folders of them, one file a raw page.

    `raw` holds the file's bytes as they are, whatever their charset, `content_type` is "text/html" without
    one, so that `extract` decides by the page itself. A folder is walked for files with one of `suffixes`;
    hidden files and symbolic links are passed over. `path` is the name below the pattern's fixed folder;
    ids come from it and the bytes. Removed: `too_large` (over `max_record_bytes`, never held).
    """

    looked_at: ClassVar[int] = 30  # a file is one record
    libraries: ClassVar[tuple[str, ...]] = ("isal", "zstandard")
    produces: ClassVar[tuple[str, ...]] = ("raw",)

    suffixes: list[str] = Field(
        default_factory=lambda: [".html", ".htm", ".xhtml"],
        description="Suffixes of the files that are read below a folder.",
    )
    max_record_bytes: int = Field(
        64 * 2**20, ge=1, description="Most bytes of a file, uncompressed; larger ones are removed."
    )

    def expand(self, path: Path) -> list[Path]:
        """The pages of a folder, in path order; a file stands for itself."""
        from corpusmill.pipelines.sources.framing.folders import files_of

        ends = ("", ".gz", ".zst", ".bz2", ".xz")
        wanted = tuple(suffix.lower() + end for suffix in self.suffixes for end in ends)
        return files_of(path, lambda name: name.lower().endswith(wanted)) if path.is_dir() else [path]

    def look(self, path: Path) -> Look:
        """Whether it may be a page."""
        from corpusmill.pipelines.sources.looking.look import look_at_pages

        return look_at_pages(path)

    def index(self, path: Path) -> list[Split]:
        """One split; a compressed file is proved whole."""
        from corpusmill.pipelines.sources.framing.whole_files import index_whole

        return index_whole(path)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """One batch of one page, or of its loss."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.whole_files import read_whole

        collector = Collector(label, raw=True)
        name = name.replace("\\", "/")
        content = read_whole(path, self.max_record_bytes)
        if content is None:
            collector.remove("too_large", split.size, name, f"over {self.max_record_bytes} bytes")
        else:
            collector.add(name, content, path=name, meta={}, content_type="text/html")
        yield collector.take()
