"""Judging bytes that should be text."""

from __future__ import annotations

import codecs

BOM = b"\xef\xbb\xbf"
_STEP = 2**20  # bytes decoded at a time: a text decoded whole takes up to four times its bytes


def text_fault(content: bytes) -> tuple[str, str] | None:
    """Why these bytes are no text: `binary` and where its NUL is, or `bad_utf8` and the decoder's words."""
    nul = content.find(b"\0")
    if nul >= 0:
        return "binary", f"NUL at byte {nul}"
    try:
        check_utf8(content)
    except UnicodeDecodeError as error:
        return "bad_utf8", str(error)
    return None


def check_utf8(content: bytes | memoryview) -> None:
    """Raise the UnicodeDecodeError of `bytes.decode`, if these bytes are no UTF-8. Memory: some MiB."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(content), _STEP):
        part = content[at : at + _STEP]
        try:
            decoder.decode(part, final=at + _STEP >= len(content))
        except UnicodeDecodeError as error:
            before = at - (len(error.object) - len(part))
            start, end = before + error.start, before + error.end
            raise UnicodeDecodeError("utf-8", bytes(content), start, end, error.reason) from None
