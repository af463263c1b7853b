"""From one record of named fields to a row: recognised fields, and everything else to `meta`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from corpusmill.pipelines.contract.documents import BESIDE, SCHEMA
from corpusmill.pipelines.sources.assembly.code_languages import code_language
from corpusmill.pipelines.sources.assembly.field_paths import at_path, take_path
from corpusmill.pipelines.sources.assembly.json_limits import limit_fault
from corpusmill.pipelines.sources.assembly.messages import MessageTemplate

COLUMNS = ("url", "path", "repo", "license", "lang")
CODE_LANGUAGE = "code_language"
NESTED = ("meta", "metadata")
# What a language code looks like (`en`, `zh-CN`, `sr_Latn`). Code data sets use `lang` for names such as
# "Python", which is no value of the `lang` column.
LANGUAGE_CODE = r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*"
_LANGUAGE_CODE = re.compile(LANGUAGE_CODE)


_HEX_ID = re.compile(r"[0-9a-f]{32}")
_WRITTEN = frozenset(SCHEMA.names) - {"text"}
_WITH_BESIDE = _WRITTEN | frozenset(BESIDE)


@dataclass(slots=True)
class Row:
    """The columns of one record; `meta` holds every field that is no column."""

    locator: str
    columns: dict[str, str]
    meta: dict[str, Any]


@dataclass(frozen=True)
class FieldMap:
    """Which field is which: `text`, `id`, and for each of `COLUMNS` a field, or None to leave it in `meta`.

    Each is a name or a path (`field_paths`). With a template, `text` holds messages. `code_language`: the
    field of `meta.code_language`, which is no column. `joined`: fields whose strings make the text of a
    record without one; they stay in `meta`.
    """

    text: str = "text"
    id: str = "id"
    columns: Mapping[str, str | None] = field(default_factory=lambda: {name: name for name in COLUMNS})
    template: MessageTemplate | None = None
    code_language: str | None = None
    joined: tuple[str, ...] = ()

    @cached_property
    def _wanted(self) -> list[tuple[str, str]]:
        return [(column, name) for column, name in self.columns.items() if name is not None]

    @cached_property
    def _paths(self) -> list[tuple[str, str]]:
        return [(column, name) for column, name in self._wanted if "." in name]

    @classmethod
    def of(
        cls,
        text: str,
        id: str,
        renamed: Mapping[str, str | None],
        template: MessageTemplate | None = None,
        joined: Sequence[str] = (),
    ) -> FieldMap:
        """From a reader's options. Raises ValueError for a column that does not exist."""
        unknown = sorted(set(renamed) - {*COLUMNS, CODE_LANGUAGE})
        if unknown:
            names = ", ".join((*COLUMNS, CODE_LANGUAGE))
            raise ValueError(f"fields: no column {unknown[0]!r}; there are {names}")
        columns = {name: renamed.get(name, name) for name in COLUMNS}
        return cls(text, id, columns, template, renamed.get(CODE_LANGUAGE), tuple(joined))

    def take_text(self, record: dict[str, Any]) -> Any:
        """Take the text out of a record: a string, or what else is there. Raises NoMessagesError.

        Of messages, what the template does not use stays.
        """
        if self.template is None:
            text = take_path(record, self.text)
            return self.joined_text(record) if text is None and self.joined else text
        text, rest = self.template.join(take_path(record, self.text))
        if rest is not None:
            record[self.text if self.text not in record else f"{self.text}.rest"] = rest
        return text

    def joined_text(self, record: Mapping[str, Any]) -> str | None:
        """The strings of the fields `joined`, a line each; None without any. A field may be in `meta` too."""
        inner: dict[str, Any] = next(
            (record[name] for name in NESTED if isinstance(record.get(name), dict)), {}
        )
        found = (at_path(record, name) for name in self.joined)
        values = [
            value if value is not None else inner.get(n) for n, value in zip(self.joined, found, strict=True)
        ]
        return "\n".join(line for value in values for line in _strings(value)) or None

    def row(self, record: dict[str, Any]) -> Row:
        """The row of a record whose text field was taken out; `record` is used up.

        Nested `meta` and `metadata` objects are flattened in; an outer field wins over a nested one of
        its name, and where they differ the nested one stays as `meta.<name>`. The record's own id stays in
        `meta`, since the `id` column is computed.
        """
        columns = {}
        own = at_path(record, self.id) if "." in self.id else None
        for column, path in self._paths:
            value = _text_of(column, at_path(record, path))
            if value is not None:
                columns[column] = value
                take_path(record, path)
        for name in NESTED:
            if name in record:
                _flatten(record, name)
        for column, field_name in self._wanted:
            value_given = record.get(field_name)
            if value_given is None or column in columns:
                continue
            value = _text_of(column, value_given)
            if value is not None:
                columns[column] = value
                del record[field_name]
        if own is None:
            own = record.get(self.id)
        if own is None:
            place = (columns.get("repo"), columns.get("path"))
            locator = columns.get("url") or "/".join(part for part in place if part)
        else:
            locator = own if isinstance(own, str) else json.dumps(own, sort_keys=True)
        if self.code_language is not None and isinstance(at_path(record, self.code_language), str):
            record[CODE_LANGUAGE] = take_path(record, self.code_language).lower()
        if "path" in columns and CODE_LANGUAGE not in record:
            language = code_language(columns["path"])
            if language is not None:
                record[CODE_LANGUAGE] = language
        return Row(locator, columns, record)


def is_exported(record: Mapping[str, Any], fields: FieldMap) -> bool:
    """Whether a record, its text taken out, is a document as exports of this project write it: every field of
    the document schema, none but what exports add, an id of 32 hex digits, and `meta` as JSON text."""
    if not (record.keys() >= _WRITTEN and record.keys() <= _WITH_BESIDE) or fields != _USUAL_FIELDS:
        return False
    identity, meta = record["id"], record["meta"]
    if not (isinstance(identity, str) and _HEX_ID.fullmatch(identity) and isinstance(meta, str)):
        return False
    given = [(name, record[name]) for name in COLUMNS if record[name] is not None]
    strings = all(isinstance(value, str) and _fits(name, value) for name, value in given)
    return strings and _fits("meta", meta) and isinstance(_object(meta), dict)


def _strings(value: Any) -> Iterator[str]:
    """The strings of a value, of lists and mappings in their order; blank ones are left out."""
    if isinstance(value, str):
        yield from [value] if value.strip() else []
    elif isinstance(value, list | dict):
        for inner in value if isinstance(value, list) else value.values():
            yield from _strings(inner)


def _flatten(record: dict[str, Any], name: str) -> None:
    nested = record[name]
    if isinstance(nested, str) and nested.startswith("{"):
        nested = _object(nested)
    if isinstance(nested, dict):
        del record[name]
        for key, value in nested.items():
            if key not in record:
                record[key] = value
            elif not _same(record[key], value):
                record[f"{name}.{key}"] = value


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _object(text: str) -> Any:
    if limit_fault(text.encode("utf-8", "surrogatepass")) is not None:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # a string that only looks like an object stays the string it is


def _text_of(column: str, value: Any) -> str | None:
    """The value of a column as text, or None where it is none and stays in `meta`."""
    if value.__class__ is not str:
        if column != "license" or not isinstance(value, list):
            return None
        value = _all_of(value) if all(isinstance(name, str) for name in value) else None
    return value if value is not None and _fits(column, value) else None


_USUAL_FIELDS = FieldMap()


def _all_of(names: list[str]) -> str | None:
    """Licences that all hold as one expression, each once; None for none."""
    kept = dict.fromkeys(name for name in names if name)
    return " AND ".join(f"({name})" if " OR " in name and len(kept) > 1 else name for name in kept) or None


def _fits(column: str, value: str) -> bool:
    if column == "lang":
        return _LANGUAGE_CODE.fullmatch(value) is not None
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False  # a lone surrogate: it stays in `meta`, escaped
    return True
