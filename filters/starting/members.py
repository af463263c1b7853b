"""What an archive holds, by the names of its first members: source code, texts, or neither."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from corpusmill.pipelines.sources.assembly.code_languages import suffix_of
from corpusmill.pipelines.sources.looking.formats import head_of
from corpusmill.pipelines.sources.looking.survey import PROSE, kind_of

_OFFICE = {"[Content_Types].xml", "mimetype"}  # of docx, xlsx and pptx, and of OpenDocument and EPUB
_CONVERT = "convert it to text, CSV or HTML"
MEMBERS = 1000  # of an archive whose names are looked at
# RuntimeError is of an encrypted member, NotImplementedError of a compression that there is no code for.
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error)


class ArchiveFault(Exception):  # noqa: N818  # a fact about a file, that is told and not the end of the command
    """Why no member of an archive is read, with the cure."""


def members_told(kind: str, path: Path) -> tuple[dict[str, Any], bool]:
    """The options of the reader for an archive (tar, zip), and whether it holds source code.

    Code and what stands beside it is read as a source tree would be; of texts alone their suffixes. Raises
    ArchiveFault where it holds neither, or cannot be listed.
    """
    try:
        names = [name for name in islice(_names(kind, path), MEMBERS) if not _hidden(name)]
    except _UNREADABLE as error:
        raise ArchiveFault(f"its members cannot be listed ({error}); fetch or copy the file again") from error
    if office := _OFFICE & set(names):
        raise ArchiveFault(f"it is a document of an office program (it holds {min(office)}); {_CONVERT}")
    found = Counter(kind_of(name) for name in names)
    if found["tree"] and found["tree"] >= sum(found[one] for one in PROSE):
        return {}, True
    suffixes = sorted({suffix_of(name) for name in names if kind_of(name) == "text"} - {""})
    likeliest = next((one for one, _ in found.most_common() if one not in (None, "tree")), None)
    if suffixes and (likeliest == "text" or found["text"] >= found[likeliest]):
        return {"include": suffixes}, False
    what = f"files of {likeliest}" if likeliest else "no source code and no text"
    raise ArchiveFault(f"it holds {what}; unpack it, and look at the folder again")


def member_texts(kind: str, path: Path, include: list[str], most: int, size: int) -> list[str]:
    """The beginnings, of at most `size` bytes, of the first `most` members with these suffixes."""
    texts = []
    try:
        for data in _contents(
            kind, path, size, lambda name: suffix_of(name) in include and not _hidden(name)
        ):
            texts.append(data.decode("utf-8", "replace"))
            if len(texts) == most:
                break
    except _UNREADABLE:  # what can be read of it counts; a run quarantines the rest
        return texts
    return texts


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in name.split("/")) or name.startswith(
        "__MACOSX/"
    )


def _names(kind: str, path: Path) -> Iterator[str]:
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            yield from (name for name in archive.namelist() if not name.endswith("/"))
    else:
        with _tar(path) as members:
            yield from (member.name for member, _ in members)


def _contents(kind: str, path: Path, size: int, wanted: Callable[[str], bool]) -> Iterator[bytes]:
    """The beginnings of the members that are wanted; of tar those in its first MiB."""
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and wanted(name):
                    with archive.open(name) as opened:
                        yield opened.read(size)
    else:
        with _tar(path) as members:
            yield from (file.read(size) for member, file in members if wanted(member.name))


@contextmanager
def _tar(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The files in the first MiB of a tar archive."""
    head, _ = head_of(path)
    with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
        yield _files(archive)


def _files(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    try:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield member, file
    except (tarfile.ReadError, EOFError):  # the head was cut within a member
        return
