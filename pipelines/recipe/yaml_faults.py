"""What a YAML parser's complaint means to whoever wrote the file: the line, the cause and the cure."""

from __future__ import annotations

import re
from typing import Any

import yaml

from corpusmill.pipelines.recipe.messages import shown

# By what the parser was doing and what it met; both parsers' words (LibYAML's and PyYAML's) are covered.
# {line} is where the thing begun was begun, {source} the line of the fault.
_CURES: tuple[tuple[str, str, str], ...] = (
    ("alias", "", "a text that begins with * needs quotes: write '*.jsonl'"),
    ("quoted scalar", "", "the quote opened on line {line} is never closed; close it"),
    ("flow mapping", "", "the {{ opened on line {line} is not closed before this; add a comma or }}"),
    ("flow sequence", "", "the [ opened on line {line} is not closed before this; add a comma or ]"),
    ("flow node", "", "a value is missing or a bracket is never closed here; write one or close it"),
    ("simple key", "", "the key on line {line} has no colon; write `key: value`"),
    ("block ", "", "this lines up with nothing above it; indent it as its neighbours are"),
    (
        "",
        "mapping values",
        "a `key:` stands where a value is expected; correct the indentation, give it a line of its own, "
        "or put the value in quotes",
    ),
    ("", "cannot start any token", "{source} has a character that no plain value may begin with; quote it"),
)


def explain(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    """(line, column, message) of what kept `text` from being YAML; line and column count from 1."""
    mark: Any = getattr(error, "problem_mark", None)
    if mark is None:  # a character YAML forbids: the reader gives a position in place of a mark
        position = getattr(error, "position", 0)
        before = text[:position] if isinstance(position, int) else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        if "\0" in text:
            return line, column, "this is a binary file, not a recipe; give a YAML file"
        return line, column, "a control character that YAML does not allow; remove it"
    lines = text.splitlines()
    source = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in source[: len(source) - len(source.lstrip())]:
        return mark.line + 1, source.index("\t") + 1, "indented with a tab; indent with spaces"
    context, problem = str(getattr(error, "context", None) or ""), str(getattr(error, "problem", error))
    begun: Any = getattr(error, "context_mark", None) or mark
    for doing, met, cure in _CURES:
        if doing in context and met in problem:
            words = cure.format(line=begun.line + 1, source=shown(source.strip()))
            return mark.line + 1, mark.column + 1, f"not valid YAML: {words}"
    plain = re.sub(r"^while (parsing|scanning) an? ", "in a ", context)
    words = f"not valid YAML: {plain}: {problem}".replace(": : ", ": ")
    return mark.line + 1, mark.column + 1, words
