"""Tar archives of source code or text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from corpusmill.pipelines.sources.assembly.code_reader import CodeReader
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
    from corpusmill.pipelines.sources.framing.tar_members import Member
    from corpusmill.pipelines.sources.looking.look import Look

_DRIVE = re.compile(r"[A-Za-z]:")


class Tar(CodeReader):
    """Reads tar archives (ustar, pax, GNU; plain, .gz, .zst, .bz2, .xz), one member a document.

    Nothing is ever extracted to disk. Columns as by `tree`, with the member's name for the path. Ids: from
    the member's name and bytes, so that they survive renaming the archive.

    Removed: `not_selected` (by `include` and `exclude`), `hidden`, `link`, `device`, `unsafe_path`
    (absolute, or with `..`), `too_large`. Quarantined: `bad_utf8`, `binary`, `bad_header` (an extended header
    that cannot be understood), `unsupported_member` (sparse and vendors' types). Folders are no records. A
    missing end mark, a failing header checksum, a cut member and broken compression are found when the
    archive is indexed.
    """

    libraries: ClassVar[tuple[str, ...]] = ("zstandard",)

    def look(self, path: Path) -> Look:
        """Whether the first member can be read."""
        from corpusmill.pipelines.sources.looking.framed import look_at_tar

        return look_at_tar(path)

    def index(self, path: Path) -> list[Split]:
        """Splits of whole members."""
        from corpusmill.pipelines.sources.framing.tar_members import index_tar

        return index_tar(path, self.split_bytes)

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

        from corpusmill.pipelines.sources.framing.tar_members import DEVICES

        name = member.name
        while name.startswith("./"):
            name = name[2:]
        parts = name.replace("\\", "/").split("/")
        if member.fault is not None:
            collector.quarantine("bad_header", member.size, position, member.fault)
            return
        if member.kind == tarfile.DIRTYPE:
            return
        if member.kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            collector.remove("link", member.size, position)
        elif member.kind in DEVICES:
            collector.remove("device", member.size, position)
        elif name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name) or not parts[-1]:
            collector.remove("unsafe_path", member.size, position)
        elif member.kind not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            kind = member.kind.decode("latin-1")
            collector.quarantine("unsupported_member", member.size, position, f"type {kind!r}")
        elif any(part.startswith(".") for part in parts):
            collector.remove("hidden", member.size, position)
        elif not self.chosen(parts[-1]):
            collector.remove("not_selected", member.size, position)
        elif member.size > self.max_record_bytes:
            collector.remove("too_large", member.size, position, f"over {self.max_record_bytes} bytes")
        else:
            self.add_file(collector, name, stream.take(member.size), position)
