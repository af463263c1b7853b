"""The JSON Lines reader as slow, plain Python: one line at a time with the standard library's parser."""

from __future__ import annotations

import json
from typing import Any


def judge_line(line: bytes, text_field: str = "text", limit: int = 2**26) -> tuple[str, Any] | None:
    """("document", (text, other fields)) or ("quarantined", why); None for a line that is no record."""
    if len(line) > limit:
        return "quarantined", "too_large"
    if not line.strip():
        return None
    try:
        string = line.decode("utf-8")
    except UnicodeDecodeError:
        return "quarantined", "bad_utf8"
    try:
        record = json.loads(string)
    except (ValueError, RecursionError):
        return "quarantined", "bad_json"
    if not isinstance(record, dict):
        return "quarantined", "bad_json"
    text = record.pop(text_field, None)
    if not isinstance(text, str):
        return "quarantined", "no_text"
    if "\x00" in text:
        return "quarantined", "binary"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "quarantined", "bad_utf8"
    return "document", (text, record)


def judge_file(content: bytes, text_field: str = "text", limit: int = 2**26) -> list[tuple[str, Any]]:
    """All records of an uncompressed file in order."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    judged = (judge_line(line, text_field, limit) for line in content.split(b"\n"))
    return [verdict for verdict in judged if verdict is not None]
