"""Zip archives of source code or text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from corpusmill.pipelines.sources.assembly.archive_reader import ArchiveReader
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.framing.zip_members import LeftOut, Member
    from corpusmill.pipelines.sources.looking.look import Look

RATIO_FLOOR = 2**20  # smaller members harm nobody, whatever their ratio


class Zip(ArchiveReader):
    """Reads zip archives (zip64 too), one member a document, in the order of the central directory.

    Nothing is ever extracted to disk. Members may be stored, deflated, or compressed by bzip2, LZMA or
    Zstandard; sizes and checksums are those of the central directory, and every member read is compared with
    its CRC-32. Names are UTF-8 where they are marked so or decode as such, else code page 437. Columns and
    ids as by `tar`.

    Removed: `not_selected`, `hidden`, `link`, `device`, `unsafe_path` and `too_large` as by `tar`,
    `encrypted`, `duplicate_name` (a later member has the name, and would replace this one on disk), `bomb`
    (over `max_ratio`). Quarantined: `bad_utf8`, `binary`, `unsupported_member` (a method of compression that
    is not read), `bad_member` (a header, size or checksum that disagrees with the central directory, or
    content that another member holds too). Folders are no records. A central directory that is cut, lacks
    members or spans several disks, and what lies beyond `max_unpacked_bytes`, is found when the archive is
    indexed.
    """

    libraries: ClassVar[tuple[str, ...]] = ("zstandard",)

    def look(self, path: Path) -> Look:
        """Whether the central directory lists a member."""
        from corpusmill.pipelines.sources.looking.framed import look_at_zip

        return look_at_zip(path)

    def index(self, path: Path) -> list[Split]:
        """Splits of whole members, by their numbers in the central directory.

        `hint`: the byte at which the directory's entry of the first member lies, how far all stated offsets
        are shifted, then the numbers of members that are not read (see `framing/zip_members.py`).
        """
        from corpusmill.pipelines.sources.framing.zip_members import index_zip

        return index_zip(path, self.split_bytes, self.max_record_bytes, self.max_unpacked_bytes)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the members of `split`. Raises DataError if the file changed since it was indexed."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.zip_members import LeftOut, members

        collector = Collector(label)
        left_out = LeftOut.of(split)
        with path.open("rb") as file:
            for member in members(file, split):
                position = f"{name}, byte {member.position}, {member.name}"
                self._add(collector, member, file, position, left_out)
                if collector.full:
                    yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _add(
        self, collector: Collector, member: Member, file: BinaryIO, position: str, left_out: LeftOut
    ) -> None:
        from corpusmill.pipelines.sources.framing.zip_content import BadMember, UnsupportedMember, content_of

        name = member.name
        while name.startswith("./"):
            name = name[2:]
        if member.kind == "folder":
            return
        if member.kind != "file":
            collector.remove(member.kind, member.size, position)
        elif not self.admits(collector, name, member.size, position):
            return
        elif member.number in left_out.duplicates:
            collector.remove("duplicate_name", member.size, position)
        elif member.encrypted:
            collector.remove("encrypted", member.size, position)
        elif member.size > RATIO_FLOOR and member.size > self.max_ratio * member.packed:
            detail = f"{member.packed} bytes become {member.size}, over {self.max_ratio} each"
            collector.remove("bomb", member.size, position, detail)
        elif member.number in left_out.overlapping:
            detail = "its content lies in that of another member"
            collector.quarantine("bad_member", member.size, position, detail)
        else:
            try:
                content = content_of(file, member)
            except UnsupportedMember as error:
                collector.quarantine("unsupported_member", member.size, position, str(error))
            except BadMember as error:
                collector.quarantine("bad_member", member.size, position, str(error))
            else:
                self.add_file(collector, content, position, *self.divided(name))
