"""Judging bytes that should be text."""

from __future__ import annotations

BOM = b"\xef\xbb\xbf"


def text_fault(content: bytes) -> tuple[str, str] | None:
    """Why these bytes are no text: `binary` and where its NUL is, or `bad_utf8` and the decoder's words."""
    nul = content.find(b"\0")
    if nul >= 0:
        return "binary", f"NUL at byte {nul}"
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return "bad_utf8", str(error)
    return None
