"""An error as one JSON object, which a command that was asked for `--json` prints in place of its result.

    {"kind": "recipe", "exit_code": 1, "message": "unknown key; did you mean `seed`? ...",
     "file": "r.yaml", "line": 2, "column": 1, "cure": "did you mean `seed`? ...", "notes": [], "further": []}

`file`, `line`, `column` and `cure` are null where the message has none. A recipe with several faults tells
the first like that, and every other in `further`, in the order of the file. What is printed for people on
standard error is the same text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from corpusmill.pipelines.contract.errors import (
    CorpusmillError,
    DataError,
    IntegrityError,
    Interrupted,
    LedgerError,
    NotKeptError,
    OtherVersionError,
    RecipeError,
    UnitFailed,
    UserError,
)

Kind = Literal[
    "command", "recipe", "data", "not_kept", "input", "machine",
    "interrupted", "other_version", "damage", "ledger", "unit", "internal",
]  # fmt: skip

# Of the classes that an error may be of, the first one tells its kind: they stand from the special down.
_KINDS: tuple[tuple[type[BaseException], Kind], ...] = (
    (RecipeError, "recipe"),
    (DataError, "data"),
    (NotKeptError, "not_kept"),
    (UserError, "input"),
    (Interrupted, "interrupted"),
    (OtherVersionError, "other_version"),
    (IntegrityError, "damage"),
    (LedgerError, "ledger"),
    (UnitFailed, "unit"),
    (CorpusmillError, "internal"),
)
_PLACE = re.compile(r"(?P<file>[^:\n]*[^:\n\s]):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<rest>.*)", re.DOTALL)
_FILE = re.compile(r"(?P<file>(?:/|\./|\.\./)?[^:;,\s][^:;,]*): (?P<rest>.*)", re.DOTALL)
_CURE = "; "
_WANTED = re.compile(r"\b(must be|expected|needs) .*?(?=, got |$)")


@dataclass(frozen=True)
class Fault:
    """One fault: its words, the place in a file (line and column count from 1) and what to do, where told."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    cure: str | None = None


@dataclass(frozen=True)
class ErrorObject:
    """What `--json` prints of an error; see the module."""

    kind: Kind
    exit_code: int
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    cure: str | None = None
    notes: tuple[str, ...] = ()
    further: tuple[Fault, ...] = field(default=())


def kind_of_error(error: BaseException) -> Kind:
    """The kind of a deliberate error; of any other `internal`."""
    return next((kind for form, kind in _KINDS if isinstance(error, form)), "internal")


def error_object(kind: Kind, exit_code: int, text: str, notes: Sequence[str] = ()) -> ErrorObject:
    """The object for the text of an error: a fault a line where it is of a recipe, else one fault."""
    lines = text.splitlines() if kind in ("recipe", "input") else [text]
    if kind == "command":  # the note says whose help answers
        return ErrorObject(kind, exit_code, text, cure="; ".join(notes) or None)
    first, *further = [fault(line) for line in lines if line.strip()] or [Fault("")]
    return ErrorObject(
        kind, exit_code, first.message, first.file, first.line, first.column, first.cure,
        tuple(notes), tuple(further),
    )  # fmt: skip


def fault(text: str) -> Fault:
    """The parts of a message of the form `FILE:LINE:COLUMN: WORDS; CURE`, any of which may be missing."""
    file = line = column = None
    words = text.strip()
    if found := _PLACE.fullmatch(words):
        file, line, words = found["file"], int(found["line"]), found["rest"]
        column = int(found["column"]) if found["column"] else None
    elif (found := _FILE.fullmatch(words)) and _is_file(found["file"]):
        file, words = found["file"], found["rest"]
    _, _, cure = words.partition(_CURE)
    if not cure and (wanted := _WANTED.search(words)):
        cure = wanted[0]  # what has to stand there is the cure
    return Fault(words, file, line, column, cure.removeprefix("cure: ").strip() or None)


def _is_file(text: str) -> bool:
    """Whether words before a colon name a file: they hold a slash or end in a suffix, and no space."""
    return " " not in text and ("/" in text or bool(re.search(r"\.[A-Za-z0-9]{1,8}$", text)))
