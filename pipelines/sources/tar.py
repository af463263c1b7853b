"""Tar archives of source code or text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from corpusmill.pipelines.sources.assembly.archive_reader import ArchiveReader
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
    from corpusmill.pipelines.sources.framing.tar_members import Member
    from corpusmill.pipelines.sources.looking.look import Look


class Tar(ArchiveReader):
    """Reads tar archives (ustar, pax, GNU; plain, .gz, .zst, .bz2, .xz), one member a document.

    Nothing is ever extracted to disk. Columns as by `tree`, with the member's name for the path. Ids: from
    the member's name and bytes, so that they survive renaming the archive.

    Removed: `not_selected` (by `include` and `exclude`), `hidden`, `link`, `device`, `unsafe_path`
    (absolute, or with `..`), `too_large`. Quarantined: `bad_utf8`, `binary`, `bad_header` (an extended header
    that cannot be understood), `unsupported_member` (sparse and vendors' types). Folders are no records. A
    missing end mark, a failing header checksum, a cut member and broken compression are found when the
    archive is indexed, and so is the member with which an archive unpacks to more than `max_unpacked_bytes`
    or, over 64 MiB, `max_ratio` times its stored bytes: from there on it is one quarantined record.
    """

    libraries: ClassVar[tuple[str, ...]] = ("isal", "zstandard")

    def look(self, path: Path) -> Look:
        """Whether the first member can be read."""
        from corpusmill.pipelines.sources.looking.framed import look_at_tar

        return look_at_tar(path)

    def index(self, path: Path) -> list[Split]:
        """Splits of whole members."""
        from corpusmill.pipelines.sources.framing.tar_members import index_tar

        return index_tar(path, self.split_bytes, self.max_unpacked_bytes, self.max_ratio)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the members that start in `split`. Raises DataError if the file changed since."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.tar_members import members

        collector = Collector(label)
        for member, stream in members(path, split):
            self._add(collector, member, stream, f"{name}, byte {member.position}, {member.name}")
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _add(self, collector: Collector, member: Member, stream: ByteStream, position: str) -> None:
        import tarfile

        from corpusmill.pipelines.sources.assembly.archive_reader import is_unsafe
        from corpusmill.pipelines.sources.framing.tar_members import DEVICES

        name = member.name
        while name.startswith("./"):
            name = name[2:]
        if member.fault is not None:
            collector.quarantine("bad_header", member.size, position, member.fault)
        elif member.kind == tarfile.DIRTYPE:
            return
        elif member.kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            collector.remove("link", member.size, position)
        elif member.kind in DEVICES:
            collector.remove("device", member.size, position)
        elif member.kind not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE) and not is_unsafe(name):
            kind = member.kind.decode("latin-1")
            collector.quarantine("unsupported_member", member.size, position, f"type {kind!r}")
        elif self.admits(collector, name, member.size, position):
            self.add_file(collector, stream.take(member.size), position, *self.divided(name))
