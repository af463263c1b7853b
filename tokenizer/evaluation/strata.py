"""The groups that figures are told by: source, language, and language of code.

A stratum is one (source, language, code language); groups are sums of strata: `*` (all), `web` (a source),
`web/zh` and `*/zh` (a language of one source or of all), `code/python` and `*/python` likewise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.sources.assembly.code_languages import code_language

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents

UNKNOWN = "und"  # a language nobody has named, as ISO 639-2 writes it
MOST = 512  # strata; documents of further ones are counted under `others`
OTHERS = "others"

Stratum = tuple[str, str, str | None]


@dataclass(frozen=True)
class Texts:
    """A batch of documents for evaluation: text large_string[n] without nulls, and each one's stratum."""

    text: pa.Array
    strata: list[Stratum]

    def __len__(self) -> int:
        return len(self.strata)


@dataclass
class Strata:
    """Strata and sources by number, in order of appearance."""

    index: dict[Stratum, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)

    def numbers(self, strata: list[Stratum]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Number of each document's stratum and source, int64[n] each."""
        own, source = [], []
        for stratum in strata:
            full = len(self.index) >= MOST and stratum not in self.index
            key = (OTHERS, UNKNOWN, None) if full else stratum
            own.append(self.index.setdefault(key, len(self.index)))
            source.append(self.sources.setdefault(key[0], len(self.sources)))
        return np.array(own, np.int64), np.array(source, np.int64)

    def groups(self) -> Iterator[tuple[str, str, list[int]]]:
        """Every group: its name, what it is by (all, source, language, code language), its strata."""
        found: dict[tuple[str, str], list[int]] = {("all", "*"): []}
        for (source, lang, code), number in self.index.items():
            names = [("all", "*"), ("source", source), ("language", f"{source}/{lang}")]
            names.append(("language", f"*/{lang}"))
            if code is not None:
                names += [("code language", f"{source}/{code}"), ("code language", f"*/{code}")]
            for name in names:
                found.setdefault(name, []).append(number)
        order = {"all": 0, "source": 1, "language": 2, "code language": 3}
        for by, group in sorted(found, key=lambda each: (order[each[0]], each[1])):
            yield group, by, sorted(set(found[by, group]))


def strata_of(docs: Documents, row_sources: bool = False) -> list[Stratum]:
    """The stratum of each document.

    The code language is `code_language` of `meta`, else what the suffix of `path` says. With `row_sources`,
    a `source` that the record itself names (in `meta`) goes before the reader's label.
    """
    names = docs.table.column_names
    empty: list[str | None] = [None] * len(docs)
    source = docs.column("source").to_pylist()
    lang = docs.column("lang").to_pylist() if "lang" in names else empty
    path = docs.column("path").to_pylist() if "path" in names else empty
    meta = docs.column("meta").to_pylist() if "meta" in names else empty
    found: list[Stratum] = []
    for one, spoken, where, about in zip(source, lang, path, meta, strict=True):
        facts = json.loads(about) if about and ("code_language" in about or row_sources) else {}
        code = facts.get("code_language")
        if not isinstance(code, str):
            code = code_language(where) if where else None
        own = facts.get("source") if row_sources else None
        label = own[:60] if isinstance(own, str) and own else one
        found.append((label, spoken or UNKNOWN, code.lower() if code else None))
    return found
