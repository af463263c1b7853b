"""What reaches a terminal: foreign text with its control characters escaped.

Keys and values of recipes, names of files and texts of documents may hold escape sequences that move the
cursor, rename the window or hide what follows. Escaping where text leaves the process covers every message,
log line, warning and traceback at once. The escapes are JSON's, so that JSON on standard output stays valid
and means the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

# Controls but line feed and tab; marks and overrides of direction; separators of lines; surrogates, which no
# encoding holds; invisible annotation and tag characters.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    """`text` with every harmful character as `\\uXXXX`; line feeds and tabs stay."""
    return _HARMFUL.sub(_escape, text)


def one_line(text: str) -> str:
    """`harmless` text in which line feeds and tabs are escaped as well."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class GuardedStream:
    """A text stream that escapes harmful characters in what `edit` makes of a text; everything else is the
    stream's own."""

    def __init__(self, stream: TextIO, edit: Callable[[str], str] | None = None) -> None:
        self.unguarded = stream
        self._edit = edit

    def write(self, text: str) -> int:  # TypeError for bytes, by which callers tell a text stream
        self.unguarded.write(harmless(self._edit(text) if self._edit is not None else text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard_streams(edit_messages: Callable[[str], str] | None = None) -> None:
    """Guard this process's standard output and standard error; what goes to the latter passes through
    `edit_messages` first. May be called again."""
    for name, edit in (("stdout", None), ("stderr", edit_messages)):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, GuardedStream):
            setattr(sys, name, GuardedStream(stream, edit))


def unguarded(stream: Any) -> TextIO:
    """The stream itself, for a writer of escape sequences that makes its foreign text harmless."""
    found: TextIO = stream.unguarded if isinstance(stream, GuardedStream) else stream
    return found
