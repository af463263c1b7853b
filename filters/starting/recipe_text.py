"""The text of a first recipe: what was found in a folder, as sources with comments, and steps.

What is switched on keeps nearly everything, so that the recipe runs on any data: languages are told, exact
and near copies removed. Filters with limits, and the way to tokens, stand beside as comments.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from corpusmill.filters.starting.columns import Date

_WIDTH = 240
_PLAIN = re.compile(r"[A-Za-z0-9_./*-]*[A-Za-z0-9_/*-]")
_SPECIAL = re.compile(r"[*&!|>%@`'\"#?:,\[\]{}-]")
_NUMBER = re.compile(r"[-+.\d_eExo]+")
_PAGES = ("warc", "arc", "html")
_RECORDS = ("jsonl", "csv", "parquet", "arrow", "hugging_face", "warc", "arc")
_MAY_BE_EMPTY = "allow_loss: 1   # no text in its first records: it may keep nothing, which fails a run else"
_MOST_TOLD = 6  # files that are left out, and languages, named in a row

TAIL = """\

# Documents that are equal are removed, then those that are nearly equal, over all sources together.
dedup: [exact, minhash]

# From documents to tokens: take the # away when the documents are what you want.
# tokenizer: {train: {vocab_size: 32K}}    # or {load: tokenizer.json}
# mixture:                                 # shares of tokens, which add up to 1
#   weights: {WEIGHTS}
# pack: {sequence_length: 4096}            # rows of tokens in shards
"""


@dataclass
class Found:
    """A source of the recipe: its reader with options and patterns, and what was seen of it."""

    name: str
    kind: str
    patterns: Sequence[str]
    options: Mapping[str, Any]
    files: int
    bytes: int
    languages: Counter[str] = field(default_factory=Counter)
    texts: int = 0  # that were looked at
    readable: bool = True  # whether any of them has a word
    code: bool = False  # whether its texts are source code
    date: Date | None = None
    notes: Sequence[str] = ()  # what else is told of it

    @property
    def silent(self) -> bool:
        """Whether no text was found among the first records, so that the source may keep nothing."""
        return self.kind in _RECORDS and not self.texts

    @property
    def counted(self) -> str:
        """How many files it has, or repositories, in words."""
        if self.kind == "git":
            return f"{self.files:,} repositor{'y' if self.files == 1 else 'ies'}"
        return f"{self.files:,} file{'s' * (self.files != 1)}"

    @property
    def domain(self) -> str:
        return "web" if self.kind in _PAGES else "code" if self.code else "text"


def recipe_text(
    name: str,
    folder: str,
    sources: Sequence[Found],
    left_out: Mapping[str, Sequence[str]],
    notes: Sequence[str],
) -> str:
    """The recipe. `folder`: as `data` has it; `left_out`: files by why none of the sources reads them."""
    lines = [
        f"# A first recipe, written by `corpusmill init` from what lies in {_comment(folder)}",
        "# It runs as it is: `corpusmill plan` tells what that costs, `corpusmill run` does it.",
        "# Editors explain it by `corpusmill schema > recipe.schema.json` and this as the first line:",
        "# # yaml-language-server: $schema=./recipe.schema.json",
        *(f"# {note}" for note in notes),
        "",
        f"name: {name}",
        "seed: 0                       # all randomness follows from it and from document ids",
        f"data: {scalar(folder)}   # what patterns are relative to",
        f"# output: runs/{name}   # folder of the run, relative to this file",
        "",
        "sources:",
    ]
    for source in sources:
        lines += _source(source)
    weights = ", ".join(
        f"{source.name}: {share}" for source, share in zip(sources, _shares(sources), strict=True)
    )
    lines.append(TAIL.replace("WEIGHTS", weights).rstrip("\n"))
    if left_out:
        lines += ["", "# Not read:"]
        for why, names in left_out.items():
            some = ", ".join(_comment(one) for one in names[:_MOST_TOLD])
            more = f" and {len(names) - _MOST_TOLD:,} more" if len(names) > _MOST_TOLD else ""
            lines.append(f"# - {some}{more}: {_comment(why)}")
    return "\n".join(lines) + "\n"


def _source(source: Found) -> list[str]:
    read: dict[str, Any] = {**source.options}
    files = list(source.patterns)
    if read or len(files) > 1:
        lines = ["    read:", f"      {source.kind}:", *_files(files)]
        lines += [f"        {key}: {scalar(value)}" for key, value in read.items()]
    else:
        lines = [f"    read: {{{source.kind}: {scalar(files[0])}}}"]
    told = [source.counted, _size(source.bytes)]
    if source.languages:
        told.append(_languages(source))
    return [
        f"  {source.name}:",
        f"    # {'; '.join(told)}",
        *(f"    # {_comment(note)}" for note in source.notes),
        *lines,
        f"    domain: {source.domain}",
        *([f"    {_MAY_BE_EMPTY}"] if source.silent else []),
        *_steps(source),
    ]


def _files(files: Sequence[str]) -> list[str]:
    if len(files) == 1:
        return [f"        files: {scalar(files[0])}"]
    return ["        files:", *(f"          - {scalar(one)}" for one in files)]


def _steps(source: Found) -> list[str]:
    dated = [] if source.date is None else [_dated(source.date)]
    if source.code:
        return [
            "    steps:",
            *dated,
            "      # - code_quality          # removes generated, minified and encoded files",
            "      # - repository_order      # files after those that they import",
        ]
    lines = ["    steps:"]
    if source.kind in _PAGES:
        lines.append("      - extract               # page -> main text, formulas kept as TeX")
    language = "      - language: {at_least: null}   # tells the language; keep: [en, zh] keeps some"
    lines.append(language if source.readable else language.replace("      -", "      # -", 1))
    lines += [
        *dated,
        "      # - gopher_quality        # limits on words, symbols and lines (Rae et al. 2021)",
        "      # - gopher_repetition     # limits on repeated lines, paragraphs and n-grams",
    ]
    if source.kind in _PAGES:
        lines.append("      # - fineweb_quality       # limits on lines that FineWeb adds")
    return lines


def _dated(date: Date) -> str:
    """The step that keeps recent documents, as a comment."""
    condition = date.condition.replace("'", "''")
    return f"      # - expression: {{keep: {{recent: '{condition}'}}}}   # dates to {date.greatest}"


def _languages(source: Found) -> str:
    total = source.languages.total()
    some = [f"{code} {count / total:.0%}" for code, count in source.languages.most_common(_MOST_TOLD)]
    return f"{', '.join(some)} of the {source.texts} text{'s' * (source.texts != 1)} looked at"


def _shares(sources: Sequence[Found]) -> list[str]:
    """Shares of the sources' bytes in hundredths, each at least one, which add up to 1."""
    total = sum(max(1, source.bytes) for source in sources)
    parts = [max(1, round(100 * max(1, source.bytes) / total)) for source in sources]
    parts[parts.index(max(parts))] += 100 - sum(parts)
    return [f"{part / 100:g}" for part in parts]


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


def scalar(value: Any) -> str:
    """A value in YAML, on one line, as it is read back."""
    if isinstance(value, str):
        plain = (
            _PLAIN.fullmatch(value)
            and not _SPECIAL.match(value)
            and not re.fullmatch(r"[-+.\d_eExo]+", value)
        )
        words = value.lower() in ("true", "false", "null", "yes", "no", "on", "off")
        return value if plain and not words else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> str:
    """Foreign text within a comment: on one line, and not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 3] + "..."
