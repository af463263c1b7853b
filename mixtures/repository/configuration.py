"""Configuration files of build tools, as far as they can be read: what cannot is as if it were not there.

They are written by strangers. A file longer than `LONGEST`, or nested deeper than `DEEPEST`, is not read, so
that no limit of a library's recursion is ever met.
"""

from __future__ import annotations

import json
import re
import tomllib
from posixpath import basename
from typing import Any

LONGEST, DEEPEST = 2**18, 64  # characters; brackets open at once
NAMES = frozenset(
    [
        "go.mod",
        "go.work",
        "Cargo.toml",
        "package.json",
        "tsconfig.json",
        "tsconfig.base.json",
        "jsconfig.json",
    ]
)
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?+')
_LAST_COMMA = re.compile(r",(?=\s*+[\]}])")


def is_configuration(path: str) -> bool:
    """Whether a language asks for the text of this file."""
    return basename(path) in NAMES


def read_json(text: str) -> dict[str, Any]:
    """An object of JSON that may have comments and commas before closing brackets; empty if it is none."""
    text = _STRING_OR_COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    if not _is_readable(text):
        return {}
    try:
        found = json.loads(_LAST_COMMA.sub("", text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_toml(text: str) -> dict[str, Any]:
    """A document of TOML; empty if it is none."""
    if not _is_readable(text):
        return {}
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except ValueError:
        return {}


def _is_readable(text: str) -> bool:
    if len(text) > LONGEST:
        return False
    depth = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest <= DEEPEST
