"""What the operating system refuses, and what the user can do about it.

A full disk, a file system that cannot be written or a folder without permission is nobody's bug. Wherever
such an error comes up, in a worker or in the runner, it is told as the user's to mend (exit code 1).
Libraries hide it in exceptions of their own, so the whole chain of an exception is searched, its words last.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOM = "make room there, then run the same command to go on"
CURES = {
    errno.EACCES: "choose a place you may write to, or change its permissions",
    errno.EPERM: "choose a place you may write to, or change its permissions",
    errno.EROFS: "choose a place that can be written",
    errno.ENOENT: "make it, or correct the path",
    errno.ENOTDIR: "a file stands where a folder is needed; correct the path",
    errno.EEXIST: "a file stands where a folder is needed; correct the path",
    errno.EISDIR: "a folder stands where a file is needed; correct the path",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "the file system or a limit (`ulimit -f`) allows no larger file; choose another place",
    errno.ENAMETOOLONG: "shorten it",
    errno.ELOOP: "its links lead in a circle; mend them",
    errno.EMFILE: "allow more open files (`ulimit -n`), or set engine.workers lower",
    errno.ENFILE: "the machine has too many files open; end what else runs there",
    errno.EIO: "the device fails to read or write; look at the system's log, and mend or replace it",
    errno.ESTALE: "the network file system was mounted anew; run the same command to go on",
}
# No file of the run can be written while these last, so no other unit would fare better.
NO_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from or while handling, each once."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def no_writing(error: BaseException) -> int | None:
    """The error number where a file could not be written for want of room or leave; None for other errors.

    By number where an OSError is in the chain, else by the system's words, as libraries written in Rust and
    C++ pass them on.
    """
    for link in chain(error):
        if isinstance(link, OSError) and link.errno is not None:
            if link.errno in NO_WRITING:
                return link.errno
            continue
        words = str(link)
        for number in sorted(NO_WRITING):
            if os.strerror(number) in words or f"os error {number})" in words:
                return number
    return None


def describe(number: int, place: object) -> str:
    """The message for an error number and the file or folder it came up at."""
    return f"{place}: {os.strerror(number).lower()}; {CURES[number]}"


def cannot_write(folder: Path) -> int | None:
    """The error number with which a small file in `folder` cannot be written now; None where it can."""
    probe = folder / f".room-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    finally:
        with suppress(OSError):  # what cannot be written cannot be removed either, and is not there
            probe.unlink(missing_ok=True)
    return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError that names no file, as those of writing do, the file it came up at."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
