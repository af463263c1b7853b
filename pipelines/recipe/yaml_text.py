"""YAML 1.2 text to plain data and the place of every key, built from the parser's events.

Differences from YAML 1.1 loaders such as PyYAML's own: only true and false are booleans (`no`, `on`,
`yes` stay text), `1e6` is a number, `010` is ten (0o10 is eight), dates stay text. Refused, because they
hide what a recipe says: duplicate keys, anchors and aliases, merge keys, tags, a second document, keys that
are not plain text, more than `MAX_BYTES` or `MAX_DEPTH`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

import yaml

from corpusmill.pipelines.recipe.messages import InvalidRecipeError, Path, Places
from corpusmill.pipelines.recipe.yaml_faults import explain

MAX_BYTES = 2**20
MAX_DEPTH = 32

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, about ten times faster in C

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 40  # no option needs more, and int() of very long digits is slow


def resolve(text: str) -> Any:
    """A plain (unquoted) scalar by the YAML 1.2 core schema: null, bool, int, float or str."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


class _Builder:
    """Builds data from events, noting the line and column (from 1) of every key and list entry."""

    def __init__(self, events: Iterator[Any], places: Places) -> None:
        self.events = events
        self.places = places

    def fail(self, mark: Any, message: str) -> InvalidRecipeError:
        return InvalidRecipeError([f"{self.places.file}:{mark.line + 1}:{mark.column + 1}: {message}"])

    def document(self) -> Any:
        next(self.events)  # stream start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        data = self.node(next(self.events), ())
        next(self.events)  # document end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self.fail(event.start_mark, "a second document starts here; keep one recipe a file")
        return data

    def node(self, event: Any, path: Path) -> Any:
        mark = event.start_mark
        self.places.lines.setdefault(path, (mark.line + 1, mark.column + 1))
        if isinstance(event, yaml.AliasEvent):
            raise self.fail(mark, f"alias *{event.anchor}: aliases are not allowed; write the value out")
        if event.anchor is not None:
            raise self.fail(mark, f"anchor &{event.anchor}: anchors are not allowed; remove it")
        if event.tag is not None:
            raise self.fail(mark, f"tag {event.tag}: tags are not allowed; remove it")
        if len(path) > MAX_DEPTH:
            raise self.fail(mark, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            return resolve(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, mark = self.key(event), event.start_mark
            here = (*path, key)
            if key in items:
                first = self.places.lines[here][0]
                raise self.fail(
                    mark, f"duplicate key `{key}`, first written on line {first}; keep one of the two"
                )
            self.places.lines[here] = (mark.line + 1, mark.column + 1)
            items[key] = self.node(next(self.events), here)
        return items

    def key(self, event: Any) -> str:
        mark = event.start_mark
        if not isinstance(event, yaml.ScalarEvent):
            raise self.fail(mark, "a key must be plain text, not a list, mapping or alias")
        if event.anchor is not None or event.tag is not None:
            raise self.fail(mark, f"key `{event.value}`: anchors and tags are not allowed; remove it")
        if event.value == "<<" and event.implicit[0]:
            raise self.fail(mark, "merge key `<<`: merge keys are not allowed; write the entries out")
        return str(event.value)


def parse_yaml(content: bytes, file: str) -> tuple[Any, Places]:
    """Data of one YAML document and the places of its keys. Raises InvalidRecipeError with file and line.

    `content`: the bytes of the file (UTF-8); `file`: what messages call it.
    """
    if len(content) > MAX_BYTES:
        raise InvalidRecipeError([f"{file}: {len(content):,} bytes; a recipe is at most {MAX_BYTES:,}"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        binary = b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        cure = "this is no text file; give a YAML file" if binary else "save the file as UTF-8"
        raise InvalidRecipeError(
            [f"{file}:{line}:{column}: byte {error.start} is not UTF-8; {cure}"]
        ) from error
    places = Places(file)
    try:
        data = _Builder(iter(yaml.parse(text, Loader=_PARSER)), places).document()
    except yaml.YAMLError as error:
        line, column, message = explain(error, text)
        raise InvalidRecipeError([f"{file}:{line}:{column}: {message}"]) from error
    return data, places


def parse_value(text: str) -> Any:
    """One YAML value, as `--set key=VALUE` takes it. Raises ValueError."""
    try:
        return parse_yaml(text.encode(), "value")[0]
    except UnicodeEncodeError as error:
        raise ValueError("the value holds bytes that are no text (UTF-8); correct them") from error
    except InvalidRecipeError as error:
        raise ValueError(re.sub(r"^value(:\d+){0,2}: ", "", str(error))) from error
