"""Zip archives of source code or text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from pydantic import Field, field_validator

from corpusmill.pipelines.sources.assembly.archive_reader import ArchiveReader
from corpusmill.pipelines.sources.assembly.code_reader import LICENSE_LIBRARIES
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
    its CRC-32. Names are UTF-8 where they are marked so or decode as such, else in `names_in`; without it
    Shift-JIS where all others of the archive decode so to Japanese with Kana, else code page 437. Columns
    and ids as by `tar`.

    Removed: `not_selected`, `hidden`, `link`, `device`, `unsafe_path` and `too_large` as by `tar`,
    `encrypted`, `duplicate_name` (a later member has the name, and would replace this one on disk), `bomb`
    (over `max_ratio`). Quarantined: `bad_utf8`, `binary`, `bad_notebook`, `unsupported_member` (a method of
    compression that is not read), `bad_member` (a header, size or checksum that disagrees with the central
    directory, or content that another member holds too). Folders are no records. A central directory that
    is cut, lacks members or spans several disks, and what lies beyond `max_unpacked_bytes`, is found when
    the archive is indexed, and so is an archive before this one in the file.
    """

    libraries: ClassVar[tuple[str, ...]] = ("zstandard", *LICENSE_LIBRARIES)

    names_in: str | None = Field(
        None,
        min_length=1,
        description="Encoding of names that are no UTF-8, such as gb18030, big5 or cp949; null: see above.",
    )

    @field_validator("names_in")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            b"a".decode(value or "utf-8")
        except LookupError:
            raise ValueError(
                f"no encoding is called {value!r}; write one such as shift_jis or gb18030"
            ) from None
        return value

    def look(self, path: Path) -> Look:
        """Whether the central directory lists a member."""
        from corpusmill.pipelines.sources.looking.framed import look_at_zip

        return look_at_zip(path)

    def index(self, path: Path) -> list[Split]:
        """Splits of whole members, by their numbers in the central directory.

        `hint`: the byte at which the directory's entry of the first member lies, how far all stated offsets
        are shifted, then the numbers of members that are not read (see `framing/zip_members.py`).
        `context`: the licences of their folders, as JSON.
        """
        from corpusmill.pipelines.sources.framing.zip_members import index_zip

        splits = index_zip(path, self.split_bytes, self.limit_of, self.max_unpacked_bytes, self.names_in)
        return self._with_licenses(path, splits) if self.looks_for_licenses else splits

    def _with_licenses(self, path: Path, splits: list[Split]) -> list[Split]:
        """The splits with the licences of their members' folders."""
        from corpusmill.pipelines.sources.assembly.archive_reader import inner_name, is_unsafe
        from corpusmill.pipelines.sources.framing.zip_content import BadMember, UnsupportedMember, content_of
        from corpusmill.pipelines.sources.framing.zip_members import LeftOut, members
        from corpusmill.pipelines.sources.licences.files import EVIDENCE_BYTES, is_evidence
        from corpusmill.pipelines.sources.licences.folders import ArchiveLicenses

        found = ArchiveLicenses()
        with path.open("rb") as file:
            for split in (split for split in splits if split.fault is None):
                left_out = LeftOut.of(split)
                for member in members(file, split, self.names_in):
                    name = inner_name(member.name)
                    if member.kind != "file" or is_unsafe(name):
                        continue
                    found.member(member.number, name)
                    unread = member.encrypted or member.number in left_out.duplicates | left_out.overlapping
                    if unread or not is_evidence(name[name.rfind("/") + 1 :]):
                        continue
                    content: bytes | None = None
                    if member.size <= EVIDENCE_BYTES:
                        with suppress(BadMember, UnsupportedMember):  # counted when it is read
                            content = content_of(file, member)
                    found.file(name, content)
        return found.into(splits)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the members of `split`. Raises DataError if the file changed since it was indexed."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.zip_members import LeftOut, members
        from corpusmill.pipelines.sources.licences.folders import context_of

        collector = Collector(label)
        left_out, licenses = LeftOut.of(split), context_of(split)
        with path.open("rb") as file:
            for member in members(file, split, self.names_in):
                position = f"{name}, byte {member.position}, {member.name}"
                self._add(collector, member, file, position, left_out, licenses)
                if collector.full:
                    yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _add(
        self,
        collector: Collector,
        member: Member,
        file: BinaryIO,
        position: str,
        left_out: LeftOut,
        licenses: Mapping[str, str],
    ) -> None:
        from corpusmill.pipelines.sources.assembly.archive_reader import inner_name
        from corpusmill.pipelines.sources.framing.zip_content import BadMember, UnsupportedMember, content_of
        from corpusmill.pipelines.sources.licences.folders import license_in

        name = inner_name(member.name)
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
                found = license_in(licenses, name)
                self.add_file(collector, content, position, *self.divided(name), found=found)
