"""Tar archives of source code or text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from corpusmill.pipelines.sources.assembly.archive_reader import ArchiveReader
from corpusmill.pipelines.sources.assembly.code_reader import LICENSE_LIBRARIES
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
    (absolute, or with `..`), `too_large`. Quarantined: `bad_utf8`, `binary`, `bad_notebook`, `bad_header`
    (an extended header that cannot be understood), `unsupported_member` (sparse and vendors' types).
    Folders are no records. A missing end mark, a failing header checksum, a cut member and broken
    compression are found when the archive is indexed, and so is the member with which an archive unpacks to
    more than `max_unpacked_bytes` or, over 64 MiB, `max_ratio` times its stored bytes: from there on it is
    one quarantined record.
    """

    libraries: ClassVar[tuple[str, ...]] = ("isal", "zstandard", *LICENSE_LIBRARIES)

    def look(self, path: Path) -> Look:
        """Whether the first member can be read."""
        from corpusmill.pipelines.sources.looking.framed import look_at_tar

        return look_at_tar(path)

    def index(self, path: Path) -> list[Split]:
        """Splits of whole members. `context`: the licences of their folders, as JSON."""
        from corpusmill.pipelines.sources.framing.tar_members import index_tar

        walked = _Licenses() if self.looks_for_licenses else None
        splits = index_tar(path, self.split_bytes, self.max_unpacked_bytes, self.max_ratio, walked)
        return splits if walked is None else walked.found.into(splits)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the members that start in `split`. Raises DataError if the file changed since."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.tar_members import members
        from corpusmill.pipelines.sources.licences.folders import context_of

        collector = Collector(label)
        licenses = context_of(split)
        for member, stream in members(path, split):
            self._add(collector, member, stream, f"{name}, byte {member.position}, {member.name}", licenses)
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _add(
        self,
        collector: Collector,
        member: Member,
        stream: ByteStream,
        position: str,
        licenses: Mapping[str, str],
    ) -> None:
        import tarfile

        from corpusmill.pipelines.sources.assembly.archive_reader import inner_name, is_unsafe
        from corpusmill.pipelines.sources.framing.tar_members import DEVICES
        from corpusmill.pipelines.sources.licences.folders import license_in

        name = inner_name(member.name)
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
            content, found = stream.take(member.size), license_in(licenses, name)
            self.add_file(collector, content, position, *self.divided(name), found=found)


class _Licenses:
    """What an archive says of licences, from its members as they are walked."""

    def __init__(self) -> None:
        from corpusmill.pipelines.sources.licences.folders import ArchiveLicenses

        self.found = ArchiveLicenses()

    def __call__(self, member: Member, stream: ByteStream) -> int:
        import tarfile

        from corpusmill.pipelines.sources.assembly.archive_reader import inner_name, is_unsafe
        from corpusmill.pipelines.sources.licences.files import EVIDENCE_BYTES, is_evidence

        name = inner_name(member.name)
        regular = member.kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
        if not regular or member.fault is not None or is_unsafe(name):
            return 0
        self.found.member(member.position, name)
        if not is_evidence(name[name.rfind("/") + 1 :]):
            return 0
        content = stream.take(member.size) if member.size <= EVIDENCE_BYTES else None
        self.found.file(name, content)
        return len(content or b"")
