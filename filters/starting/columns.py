"""Which fields of the first records are columns of documents, such as the URL, and which is their date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.sources.assembly.code_languages import CODE_LANGUAGES, code_language
from corpusmill.pipelines.sources.assembly.field_paths import at_path
from corpusmill.pipelines.sources.assembly.fields import CODE_LANGUAGE, NESTED, FieldMap, Row
from corpusmill.pipelines.sources.assembly.messages import MessageTemplate, NoMessagesError
from corpusmill.pipelines.sources.looking import field_kinds as kinds

_CODE_LANGUAGE_NAMES = ("code_language", "programming_language", "language", "lang")
_NO_CODE = {"text", "markdown", "html", "json", "xml", "yaml", "restructuredtext", "tex"}
_LANGUAGES = set(CODE_LANGUAGES.values()) - _NO_CODE
_EASY = re.compile(r"[\w.-]{1,80}", re.ASCII)  # names that stand in an expression without escapes
_ABOUT_TIME = re.compile(r"date|time|created|published|crawled")
Fits = Callable[[Any], bool]


@dataclass(frozen=True)
class Date:
    """The field of `meta` that holds the date of a record, with the least and the greatest value seen."""

    name: str
    least: str | float
    greatest: str | float

    @property
    def condition(self) -> str:
        """An expression of the filter `expression` that all records seen fulfil."""
        if isinstance(self.least, str):
            return f'meta("{self.name}") >= "{self.least[:10]}"'
        return f'number(meta("{self.name}")) >= {self.least:.0f}'


@dataclass(frozen=True)
class Columns:
    """The option `fields` that records need, their date, and whether their texts are source code."""

    fields: dict[str, str] = field(default_factory=dict)
    date: Date | None = None
    code: bool = False


def columns_of(records: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> Columns:
    """What fields the records have, read with these options of their reader."""
    records = list(records)
    rows = _rows(records, options, {})
    if not rows:
        return Columns()
    language = _field(rows, _CODE_LANGUAGE_NAMES, lambda value: str(value).lower() in _LANGUAGES)
    path = "path" if _filled(rows, "path") else _field(rows, kinds.PATHS, kinds.is_path)
    code = language is not None or _is_code(rows, path)
    wanted: list[tuple[str, Sequence[str], Fits]] = [
        ("url", kinds.ADDRESSES, kinds.is_address),
        ("license", kinds.LICENCES, kinds.is_licence),
    ]
    if code:
        wanted += [
            ("path", kinds.PATHS, kinds.is_path),
            ("repo", kinds.REPOSITORIES, kinds.is_repository),
        ]
    found: dict[str, str] = {}
    for column, names, fits in wanted:
        name = None if _filled(rows, column) else _field(rows, names, fits)
        named = None if name is None else _reached(records, options, column, name)
        if named is not None:
            found[column] = named
    if code and language is not None and language != CODE_LANGUAGE:
        found[CODE_LANGUAGE] = language
    return Columns(found, _date(rows), code)


def _rows(
    records: Iterable[Mapping[str, Any]], options: Mapping[str, Any], fields: Mapping[str, str]
) -> list[Row]:
    """The rows that a reader makes of records; what has no text is left out."""
    template = MessageTemplate(options["template"], "\n\n") if "template" in options else None
    text, joined = options.get("text_field", "text"), options.get("text_from", ())
    fields_of = FieldMap.of(text, "id", fields, template, joined)
    rows = []
    for record in records:
        left = dict(record)
        try:
            there = isinstance(fields_of.take_text(left), str)
        except NoMessagesError:
            continue
        if there:
            rows.append(fields_of.row(left))
    return rows


def _filled(rows: Sequence[Row], column: str) -> bool:
    return any(column in row.columns for row in rows)


def _field(rows: Sequence[Row], names: Sequence[str], fits: Fits) -> str | None:
    """The field of `meta`, by its path, with the first of these names whose values all fit."""
    paths = dict.fromkeys(path for row in rows for path, _ in kinds.nested(row.meta))
    for name in names:
        for path in paths:
            if path.rsplit(".", 1)[-1].lower() == name and _all_fit(rows, path, fits):
                return path
    return None


def _all_fit(rows: Sequence[Row], path: str, fits: Fits) -> bool:
    values = [value for row in rows if (value := at_path(row.meta, path)) not in (None, "", [])]
    return bool(values) and all(fits(value) for value in values)


def _reached(
    records: Sequence[Mapping[str, Any]], options: Mapping[str, Any], column: str, name: str
) -> str | None:
    """The path by which a reader finds a field of `meta`, whose mapping it may have flattened into that."""
    for path in (name, *(f"{outer}.{name}" for outer in NESTED)):
        if _filled(_rows(records, options, {column: path}), column):
            return path
    return None


def _is_code(rows: Sequence[Row], path: str | None) -> bool:
    """Whether most records have the path of a file of source code."""
    if path is None:
        return False
    values = [row.columns["path"] if "path" in row.columns else at_path(row.meta, path) for row in rows]
    named = [value for value in values if isinstance(value, str)]
    code = [value for value in named if (code_language(value) or "text") not in _NO_CODE]
    return bool(named) and 2 * len(code) > len(rows)


def _date(rows: Sequence[Row]) -> Date | None:
    """The field that holds dates, by its name, else by what it holds and that its name tells of time."""
    name = _field(rows, kinds.DATES, kinds.is_date)
    if name is None:
        paths = dict.fromkeys(path for row in rows for path, _ in kinds.nested(row.meta))
        told = (path for path in paths if _ABOUT_TIME.search(path.lower()))
        name = next((path for path in told if _all_fit(rows, path, kinds.is_date)), None)
    if name is None or not _EASY.fullmatch(name):
        return None
    values = [value for row in rows if (value := at_path(row.meta, name)) not in (None, "")]
    texts, numbers = [v for v in values if isinstance(v, str)], [v for v in values if not isinstance(v, str)]
    if texts and numbers:
        return None
    return Date(name, min(texts), max(texts)) if texts else Date(name, min(numbers), max(numbers))
