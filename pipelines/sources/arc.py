"""ARC files, the Internet Archive's format before WARC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class Arc(Reader):
    """Reads ARC files, versions 1 and 2 (.arc, .arc.gz), one HTTP response a raw page.

    Format: archive.org/web/researcher/ArcFileFormat.php. The pages equal those of `warc` on a conversion
    of the same crawl. ARC records have no id of their own: ids come from "URL date" and the content.
    `meta`: `arc_date` (14 digits, UTC), `http_status`.

    Removed: `not_response` (file descriptions, DNS), `http_status` (not 200), `not_html`, `too_large`.
    Quarantined: `bad_http`, `bad_content_encoding`. Integrity is proved as by `warc`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("brotli", "isal", "zstandard")
    produces: ClassVar[tuple[str, ...]] = ("raw",)

    max_record_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Most bytes of a record, as stored and once decoded; larger ones are removed.",
    )

    def look(self, path: Path) -> Look:
        """Whether a record begins in the first MiB."""
        from corpusmill.pipelines.sources.framing.arc_records import ARC
        from corpusmill.pipelines.sources.looking.framed import look_at_archive

        return look_at_archive(path, ARC, "arc")

    def index(self, path: Path) -> list[Split]:
        """Splits at record starts; memory independent of file and record sizes."""
        from corpusmill.pipelines.sources.framing.arc_records import ARC
        from corpusmill.pipelines.sources.framing.archive_index import index_archive

        return index_archive(path, self.split_bytes, ARC)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the records that start in `split`. Raises DataError if the file changed since."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.assembly.pages import add_page
        from corpusmill.pipelines.sources.framing.arc_records import ARC
        from corpusmill.pipelines.sources.framing.archive_index import records

        collector = Collector(label, raw=True)
        for head, block in records(path, split, ARC, self.max_record_bytes):
            position = f"{name}, byte {head.position}"
            url, date = head.fields["url"], head.fields["date"]
            if not url.lower().startswith("http"):
                scheme = url.partition(":")[0]
                collector.remove("not_response", head.length, position, scheme, url.encode())
            elif block is None:
                detail = f"over {self.max_record_bytes} bytes"
                collector.remove("too_large", head.length, position, detail, url.encode())
            else:
                meta = {"arc_date": date}
                add_page(collector, block, url, f"{url} {date}", position, self.max_record_bytes, meta)
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()
