"""Questions that the live page asks a run, each answered by a process of its own that may be ended.

A query of polars cannot be interrupted, and may ask for more memory than there is: the process has a limit of
time, of memory and of rows. It reads the run and nothing else, as `corpusmill query` does.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.opaque import Cells
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.run.engines.isolation import child_environment, python_command
from corpusmill.pipelines.storage.objects.current import storage_in_use, use_storage_again
from corpusmill.pipelines.storage.remote.mirrors import location_of, path_of, store_of_run

SECONDS = 30
ROWS = 500
_MEMORY = 8 * 2**30  # of address space, much of which libraries only reserve
_CELL = 400  # characters
_LINES = 400  # of a story
_ANSWER = "from corpusmill.pipelines.serve.questions import answer_one; answer_one()"

Kind = Literal["query", "explain"]


@dataclass(frozen=True)
class Answer:
    """A table, or lines of a story; `more`: rows or lines were left out. `error` says what went wrong."""

    columns: tuple[str, ...] = ()
    rows: tuple[Cells, ...] = ()
    lines: tuple[str, ...] = ()
    more: bool = False
    error: str | None = None


def ask(folder: Path, kind: Kind, text: str, seconds: float = SECONDS) -> Answer:
    """The answer to a query or to the id of a document, or what is wrong with it."""
    command = python_command(_ANSWER)
    remote = {} if store_of_run(folder) is None else storage_in_use()
    question = json.dumps(
        {"folder": location_of(folder), "storage": remote, "kind": kind, "text": text}, default=str
    )
    try:
        done = subprocess.run(
            command,
            input=question,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
            env=child_environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        return Answer(error=f"no answer within {seconds:g} seconds; ask for less, such as with a LIMIT")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1]
        return Answer(error=f"the question could not be answered: {visible(last[:400])}")
    return decode(Answer, json.loads(done.stdout), "the answer")


def answer_one() -> None:
    """Answer the question on standard input; the process that `ask` starts."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    question = json.loads(sys.stdin.read())
    text = question["text"]
    if question["storage"]:
        use_storage_again(question["storage"])
    try:
        folder = path_of(question["folder"]) if question["storage"] else Path(question["folder"])
        answer = _story(folder, text) if question["kind"] == "explain" else _table(folder, text)
    except CorpusmillError as error:
        answer = Answer(error=visible(str(error)))
    sys.stdout.write(json.dumps(encode(answer)))


def _table(folder: Path, sql: str) -> Answer:
    from corpusmill.pipelines.inspection.query import query
    from corpusmill.pipelines.inspection.run_record import load_record
    from corpusmill.pipelines.inspection.tables.catalogue import tables_of
    from corpusmill.pipelines.storage.run_folder import RunFolder

    found = query(tables_of(load_record(RunFolder(folder))), sql, most=ROWS + 1)
    rows = [tuple(map(_cell, row)) for row in found.head(ROWS).iter_rows()]
    return Answer(tuple(map(visible, found.columns)), tuple(rows), more=found.height > ROWS)


def _cell(value: Any) -> str | int | float | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no infinity
    text = visible(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _story(folder: Path, identity: str) -> Answer:
    from corpusmill.pipelines.inspection.explain import explain
    from corpusmill.pipelines.inspection.story_rendering import render_story
    from corpusmill.pipelines.storage.run_folder import RunFolder

    lines = render_story(explain(RunFolder(folder), identity)).splitlines()
    return Answer(lines=tuple(map(visible, lines[:_LINES])), more=len(lines) > _LINES)
