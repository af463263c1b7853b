"""Look for the first record of files with a framing of their own (WARC, ARC, tar), and for text."""

from __future__ import annotations

import codecs
from pathlib import Path

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.assembly.plain_text import BOM, text_fault
from corpusmill.pipelines.sources.framing.archive_index import FAULTS_PER_FILE, ArchiveFormat
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream, Hint
from corpusmill.pipelines.sources.framing.damage import BrokenRecord, Damage
from corpusmill.pipelines.sources.framing.decompression import later_frames
from corpusmill.pipelines.sources.framing.tar_members import next_member
from corpusmill.pipelines.sources.framing.zip_directory import DirectoryFault, find_directory
from corpusmill.pipelines.sources.framing.zstd_dictionaries import dictionary_of_option
from corpusmill.pipelines.sources.looking.formats import HEAD_BYTES, format_of, head_of, wrong_format
from corpusmill.pipelines.sources.looking.look import EMPTY, NOTHING, Look
from corpusmill.pipelines.sources.looking.unreadable import unreadable

EXPECTED = {
    "warc": "records that begin with a line such as WARC/1.0",
    "arc": "a line `URL IP date type length` before each record",
    "zip": "a zip archive, with a central directory at its end",
    "tar": "a tar header with a right checksum",
    "text": "text in UTF-8 without NUL",
}


class _Beginning(ByteStream):
    """The first bytes of a file, about `HEAD_BYTES` uncompressed, or as many from a later frame on."""

    def __init__(self, path: Path, hint: Hint = (0, 0), dictionary: bytes | None = None) -> None:
        super().__init__(path, hint, dictionary)
        self._given = 0

    def _pull(self) -> bytes | None:
        data = super()._pull() if self._given < HEAD_BYTES else None
        self._given += len(data or b"")
        return data


def look_at_archive(path: Path, form: ArchiveFormat, name: str, dictionary: Path | None = None) -> Look:
    """Whether one record begins in the first MiB of a file of records, behind damage too. Raises OSError.

    `dictionary`: the file of a zstd dictionary that frames may need beside the file's own.
    """
    try:
        given = dictionary_of_option(dictionary)
    except DataError as error:
        return Look(fault=str(error))
    cause = None
    starts: list[int] = [0]
    for _ in range(FAULTS_PER_FILE):
        if not starts:
            break
        stream = _Beginning(path, (starts.pop(), 0), given)
        try:
            stream.skip_all(b"\r\n")
            if _record_begins(stream, form):
                return Look(sound=True)
        except Damage as damage:
            cause = cause or str(damage)
            frames = later_frames(path, damage.frame, HEAD_BYTES, given)
            starts += [offset for offset, _ in [next(frames, (0, b""))] if offset]
    head, whole = head_of(path)
    if whole and not head.strip():
        return EMPTY
    return _none_found(head, whole, name, cause)


def _record_begins(stream: ByteStream, form: ArchiveFormat) -> bool:
    """Whether the head of a record is found. Raises Damage where a frame is broken before."""
    while not stream.ended():
        try:
            form.read_head(stream)
        except BrokenRecord:
            if not form.starts_record(stream.peek(16)) and not form.find_record(stream):
                return False
        else:
            return True
    return False


def look_at_tar(path: Path) -> Look:
    """Whether a file begins with a member; later ones are not read without it. Raises OSError."""
    cause = "there is data after the archive's end mark"
    try:
        if next_member(_Beginning(path)) is not None:
            return Look(sound=True)
    except Damage as damage:
        cause = str(damage)
    head, whole = head_of(path)
    if whole and not head.strip(b"\0"):  # an empty tar is blocks of zeros
        return EMPTY
    return _none_found(head, whole, "tar", cause)


def look_at_zip(path: Path) -> Look:
    """Whether a file ends with a central directory that lists a member. Raises OSError."""
    with path.open("rb") as file:
        try:
            count = find_directory(file).count
        except DirectoryFault as fault:
            file.seek(0)
            head = file.read(HEAD_BYTES)
            return _none_found(head, len(head) < HEAD_BYTES, "zip", str(fault)) if head else EMPTY
    return Look(sound=True) if count else EMPTY


def _none_found(head: bytes, whole: bool, name: str, cause: str | None) -> Look:
    """What a file shows in which no record was found: damage where it is plainly of the format."""
    if format_of(head) == name:
        why = (cause or "none is whole").split("; ", 1)[0]
        return Look(damage=f"no record of its first MiB can be read ({why}); fetch or copy the file again")
    if not head and not whole:
        return NOTHING  # nothing can be unpacked
    return Look(fault=wrong_format(head, name) or unreadable(head, EXPECTED[name]))


def look_at_text(path: Path, *, packed: bool = True) -> Look:
    """Whether the first MiB of a file is text in UTF-8. `packed`: whether the reader unpacks it. Raises
    OSError."""
    if packed:
        head, whole = head_of(path)
    else:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            whole = not file.read(1)
    if whole and not (head.strip() if packed else head):
        return EMPTY
    if not head:
        return NOTHING  # nothing can be unpacked
    if fault := wrong_format(head, None):
        return Look(fault=fault)
    text = head.removeprefix(BOM)
    if not whole:  # a character may be cut at the end
        left = codecs.getincrementaldecoder("utf-8")("replace")
        left.decode(text)
        text = text[: len(text) - len(left.getstate()[0])]
    if (found := text_fault(text)) is not None:
        return Look(fault=unreadable(head, EXPECTED["text"], found[1]))
    return Look(sound=True)
