"""An exception in one line that any file can hold, the same on every machine: its kind, words, place."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import corpusmill
from corpusmill.pipelines.contract.plugins import plugins

_WORDS = 300  # characters of an exception's own words
_FRAMES = 3  # told, the innermost
_ROOT = Path(corpusmill.__file__).parent
_MOVERS = ("pipelines/run/", "pipelines/contract/")  # what calls stages: in no frame that is told
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")  # of an object, as `repr` tells it


def words_of(error: BaseException) -> str:
    """An exception's kind and at most 300 characters of its first line, without addresses of objects.

    What stands before the first colon is its kind alone.
    """
    words = str(error).strip().splitlines()
    first = words[0][:_WORDS].encode("utf-8", "backslashreplace").decode() if words else ""
    return f"{type(error).__name__}: {_ADDRESS.sub('', first)}".rstrip(": ")


def cause_of(error: BaseException) -> str:
    """`words_of`, and in brackets the innermost lines of corpusmill's or a plugin's code that the exception
    passed, the innermost last: `ValueError: odd [mine.py:9 score]`. Files are named within their package."""
    words, places = words_of(error), _places(error)
    if not places:
        return words
    return f"{words}{'' if ':' in words else ':'} [{' > '.join(places)}]"


def _places(error: BaseException) -> list[str]:
    files = {str(path): path.name for path in plugins()}
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        name = files.get(code.co_filename) or _own(code.co_filename)
        if name is not None and not code.co_name.startswith("<"):  # of comprehensions: not in all Pythons
            found.append(f"{name}:{line} {code.co_name}")
    return found[-_FRAMES:]


def _own(file: str) -> str | None:
    """A file of corpusmill within its package, unless it is one that only calls stages; None for others."""
    path = Path(file)
    if not path.is_relative_to(_ROOT):
        return None
    name = path.relative_to(_ROOT).as_posix()
    return None if name.startswith(_MOVERS) else name
