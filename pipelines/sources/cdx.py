"""Records of WARC files that CDX and CDXJ index files name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, StringConstraints

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.cdx_lines import Entry, Legend
    from corpusmill.pipelines.sources.assembly.cdx_selection import Selection
    from corpusmill.pipelines.sources.framing.archive_index import RecordHead
    from corpusmill.pipelines.sources.looking.look import Look

# Ranges of an index are this much shorter than those of other files: a line of 400 bytes stands for a record
# of about 20 KB.
_LINES_SHARE = 64
_UNKNOWN_LENGTH = 20_000  # stored bytes taken for a record whose length the index does not state


class Cdx(Reader):
    """Reads the records of WARC files that index files name, and nothing else of those files.

    `files` are the index files: CDX (with a legend such as ` CDX N b a m s k r M S V g`, or without one, of
    9, 10 or 11 fields) and CDXJ (`urlkey timestamp {json}`, or the JSON alone), plain, .gz (of many members,
    too), .zst, .bz2 or .xz. A WARC file is looked for in `warcs` by the path that the index gives it, then by
    the last part of that path alone; `..` in it is refused.

    Each line is one record of the input. Those that `url`, `status`, `mime` and `language` do not fit are
    removed as `not_selected`; without these options every line is read. In `url` and `mime`, `*` stands for
    any characters. `mime` is compared with the type that was detected (`mime-detected`), else with the
    server's, and `language` with the first of a line's `languages`. A line that does not state what is asked
    for does not fit.

    Pages, ids, `meta` and reasons are those of `warc`. Quarantined besides: `bad_index_line`; `missing_file`;
    `bad_offset`, where no whole record stands in the range that the line names; `other_record`, where its
    URL or its digest is not the line's. The lost records' positions name index line and WARC file.

    WARC files are no part of the fingerprint: the lines are, and the digests in them say what is read. A WARC
    file that changed so that no line's URL or digest tells is not noticed. Duplicate lines are read twice.
    """

    libraries: ClassVar[tuple[str, ...]] = ("brotli", "isal", "zstandard")
    local_only: ClassVar[str] = "reads WARC files of this machine; fetch both, or read WARC files by `warc`"
    produces: ClassVar[tuple[str, ...]] = ("raw",)

    warcs: Path | None = Field(
        None, description="Folder of the WARC files, relative to the recipe; null: that of each index file."
    )
    url: list[str] | None = Field(
        None,
        min_length=1,
        description="Patterns of URLs to read, such as https://*.example.org/*; null: all.",
    )
    status: list[int] | None = Field(None, min_length=1, description="HTTP status codes to read; null: all.")
    mime: list[str] | None = Field(
        None, min_length=1, description="Patterns of media types to read, such as text/*; null: all."
    )
    language: list[Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]] | None = Field(
        None,
        min_length=1,
        description="Languages to read, in the codes of the index (Common Crawl: ISO 639-3); null: all.",
    )
    resources: bool = Field(
        False, description="Read resource records of HTML as well, pages saved without HTTP."
    )
    dictionary: Path | None = Field(
        None, description="File of the zstd dictionary that frames need where the file holds none."
    )
    max_record_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Most bytes of a record, as stored and once decoded; larger ones are removed.",
    )

    def external_files(self) -> tuple[Path, ...]:
        """The dictionary alone: hashing the WARC files would read all of them."""
        return () if self.dictionary is None else (self.dictionary,)

    def look(self, path: Path) -> Look:
        """Whether a line of the first MiB names a record of a file that is there."""
        from corpusmill.pipelines.sources.looking.index_files import look_at_index

        return look_at_index(path, self.warcs or path.parent)

    def index(self, path: Path) -> list[Split]:
        """Ranges of lines, whose `size` is that of the lines and of the selected records as stored."""
        from corpusmill.pipelines.sources.assembly.cdx_lines import entry_of
        from corpusmill.pipelines.sources.framing.line_ranges import index_lines

        splits = index_lines(path, max(2**16, self.split_bytes // _LINES_SHARE))
        selection, weighed = self._selection(), []
        legend = _legend(path) if any(split.fault is None for split in splits) else None
        for split in splits:
            size = split.size
            for _, line, _ in _lines(path, split, legend) if split.fault is None else ():
                try:
                    entry = entry_of(line, legend)
                except ValueError:
                    continue  # `read` quarantines it
                if selection.wants(entry):
                    size += entry.length or _UNKNOWN_LENGTH
            weighed.append(replace(split, size=size) if split.fault is None else split)
        return weighed

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the records that the lines of `split` name, in the lines' order."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.assembly.cdx_lines import LINE_LIMIT, entry_of
        from corpusmill.pipelines.sources.assembly.warc_rows import WarcRows
        from corpusmill.pipelines.sources.framing.record_at import RecordFault, WarcFolder
        from corpusmill.pipelines.sources.framing.zstd_dictionaries import dictionary_of_option

        collector = Collector(label, raw=True)
        rows = WarcRows("response", self.max_record_bytes, resources=self.resources)
        selection, legend = self._selection(), _legend(path)
        folder, dictionary = self.warcs or path.parent, dictionary_of_option(self.dictionary)
        with WarcFolder(folder, self.max_record_bytes, dictionary) as warcs:
            for start, line, length in _lines(path, split, legend):
                position = f"{name}, byte {start}"
                try:
                    if length > LINE_LIMIT:
                        raise ValueError(f"a line over {LINE_LIMIT} bytes")
                    entry = entry_of(line, legend)
                except ValueError as error:
                    collector.quarantine("bad_index_line", length, position, str(error), line)
                    continue
                if not selection.wants(entry):
                    collector.remove("not_selected", len(line), position, data=entry.url.encode())
                else:
                    size = entry.length or len(line)
                    position += f": {entry.filename}, byte {entry.offset}"
                    try:
                        head, block = warcs.record(entry.filename, entry.offset, entry.length)
                        _check(entry, head)
                    except RecordFault as fault:
                        collector.quarantine(fault.why, size, position, fault.detail, line)
                    else:
                        rows.add(collector, head, block, position)
                if collector.full:
                    yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _selection(self) -> Selection:
        from corpusmill.pipelines.sources.assembly.cdx_selection import Selection

        return Selection(self.url, self.status, self.mime, self.language)


def _legend(path: Path) -> Legend | None:
    """The legend that an index file begins with, if it does."""
    from corpusmill.pipelines.sources.assembly.cdx_lines import legend_of
    from corpusmill.pipelines.sources.framing.byte_stream import ByteStream

    return legend_of(ByteStream(path).line(4096))


def _lines(path: Path, split: Split, legend: Legend | None) -> Iterator[tuple[int, bytes, int]]:
    """Position, content and length of each line that may name a record.

    Of a line over the limit the content is its beginning. Blank lines, headings and repeated legends are
    passed over.
    """
    from corpusmill.pipelines.sources.assembly.cdx_lines import LINE_LIMIT, is_heading, legend_of
    from corpusmill.pipelines.sources.framing.line_ranges import line_blocks

    for block in line_blocks(path, split, LINE_LIMIT):
        at = block.start
        for part in [block.data] if block.skipped else block.data.split(b"\n"):
            start, at = at, at + len(part) + 1
            line = part.rstrip(b"\r")
            if not line.strip() or is_heading(line) or (legend is not None and legend_of(line) == legend):
                continue
            yield start, line, block.skipped or len(line)


def _check(entry: Entry, head: RecordHead) -> None:
    """Raise RecordFault where the record found is another than the line's."""
    from corpusmill.pipelines.sources.assembly.cdx_lines import same_digest, same_url
    from corpusmill.pipelines.sources.assembly.warc_rows import target
    from corpusmill.pipelines.sources.framing.record_at import RecordFault

    url = target(head)
    if entry.url and not same_url(entry.url, url):
        raise RecordFault("other_record", f"the record there has the URL {url[:200]!r}")
    digest = head.fields.get("warc-payload-digest", "")
    if entry.digest and digest and not same_digest(entry.digest, digest):
        raise RecordFault("other_record", f"the record there has the digest {digest[:80]!r}")
