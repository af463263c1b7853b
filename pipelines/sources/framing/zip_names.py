"""Names of members of zip archives: how they are encoded, and what they are in this system's form.

The format has code page 437 and, where a flag or an extra field says it, UTF-8. Tools write others: UTF-8
without the flag, and the code page of the machine they ran on. Names that decode as UTF-8 are taken as such;
of the others an archive's names together tell Shift-JIS, whose second bytes may be that of `\\`: all decode
in it to letters of Japanese, some of them Kana. Other code pages are not told apart with any certainty.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

GUESSES = ("cp437", "cp932", "utf-8")  # the last stands for what an option says
OF_OPTION = 2
_UTF8 = 1 << 11  # of the flags
_UNICODE_PATH = 0x7075  # an extra field
_WINDOWS = (0, 10, 11, 14)  # systems: FAT, NTFS, MVS as written for NTFS, VFAT
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_JAPANESE = re.compile("[\\x00-\\x7f\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e\u2010-\u2026]*")


def unmarked(raw: bytes, flags: int, extra: dict[int, bytes]) -> bytes | None:
    """A name that neither says that it is UTF-8 nor decodes so; None for others."""
    if flags & _UTF8 or raw.isascii() or _unicode_path(raw, extra) is not None:
        return None
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw
    return None


def guessed(names: Iterable[bytes | None]) -> int:
    """Which of `GUESSES` an archive's names that are `unmarked` are in, by all of them; None is passed
    over."""
    kana = False
    for raw in names:
        if raw is None:
            continue
        try:
            name = raw.decode("cp932")
        except UnicodeDecodeError:
            return 0
        if _JAPANESE.fullmatch(name) is None:
            return 0
        kana = kana or _KANA.search(name) is not None
    return int(kana)


def name_of(raw: bytes, system: int, flags: int, extra: dict[int, bytes], encoding: str) -> str:
    """A member's name; `encoding`: of those that are not UTF-8. What cannot be decoded stays visible as
    escapes.

    Some tools of Windows write `\\` for `/`, against the format; as for Info-ZIP, that is meant where a name
    of theirs has no `/`.
    """
    told = _unicode_path(raw, extra)
    if told is not None or flags & _UTF8:
        name = (raw if told is None else told).decode("utf-8", "backslashreplace")
    else:
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            name = raw.decode(encoding, "backslashreplace")
    return name.replace("\\", "/") if system in _WINDOWS and "/" not in name else name


def _unicode_path(raw: bytes, extra: dict[int, bytes]) -> bytes | None:
    """What Info-ZIP's extra field says: version 1, CRC-32 of the other name, this one."""
    field = extra.get(_UNICODE_PATH, b"")
    if field[:1] == b"\1" and field[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
        return field[5:]
    return None
