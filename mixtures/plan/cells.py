"""Cells: the documents that are equal in all columns that a mixture names, and the values they have there.

A column of numbers has edges, which divide it into buckets; `tokens` is the length of a document. Where
every group that divides by a column names the values it means, the others are one value, `OTHERS`. So the
number of cells follows from the recipe, unless a policy tells all values of a column apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from corpusmill.pipelines.contract.documents import Documents

SOURCE, TOKENS = "source", "tokens"
UNKNOWN, OTHERS = "unknown", "*"  # no value; every value that is not named
KNOWN = (SOURCE, "domain", "lang", "license", "site", "repo", "path", TOKENS)  # columns of every document
ENCODED = (SOURCE, "domain", "lang", "path", "repo", "group", TOKENS)  # columns that documents keep anyway
Values = tuple[str, ...]
Number = int | float


def in_order(edges: Sequence[Number]) -> bool:
    """Whether there are edges, each above the one before."""
    return bool(edges) and all(low < high for low, high in pairwise(edges))


def rising(edges: list[Number]) -> list[Number]:
    """The edges of a column, as they are. Raises ValueError where they are not in order."""
    if not in_order(edges):
        raise ValueError(f"edges must rise, got {edges}; sort them, each once")
    return edges


def bucket_names(edges: Sequence[Number]) -> tuple[str, ...]:
    """What the buckets between sorted `edges` are called: `below 10`, `10 to 20`, `from 20`."""
    shown = [_shown(edge) for edge in edges]
    between = (f"{low} to {high}" for low, high in pairwise(shown))
    return (f"below {shown[0]}", *between, f"from {shown[-1]}")


def _shown(edge: Number) -> str:
    return str(int(edge)) if float(edge).is_integer() else repr(float(edge))


@dataclass(frozen=True)
class Column:
    """One of the columns: `edges` of its buckets, None of text; `named`: values told apart, None for all."""

    name: str
    edges: tuple[Number, ...] | None = None
    named: frozenset[str] | None = None

    def values_of(self, docs: Documents) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Codes int64[n] of the documents, and the values that the codes stand for."""
        import numpy as np

        if self.edges is not None:
            return self._buckets(docs)
        column = docs.column(self.name)
        coded = column.fill_null(UNKNOWN).dictionary_encode()
        return coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()

    def _buckets(self, docs: Documents) -> tuple[npt.NDArray[np.int64], list[str]]:
        import numpy as np

        from corpusmill.pipelines.contract.encoded_views import token_counts

        assert self.edges is not None
        names = list(bucket_names(self.edges))
        if self.name == TOKENS:
            numbers = token_counts(docs).astype(np.float64)
        else:
            numbers = docs.column(self.name).fill_null(np.nan).to_numpy()
        codes = np.searchsorted(np.asarray(self.edges, np.float64), numbers, side="right")
        return np.where(np.isnan(numbers), len(names), codes), [*names, UNKNOWN]

    def told(self, value: str) -> str:
        """The value that it counts as."""
        return value if self.named is None or value in self.named else OTHERS


@dataclass(frozen=True)
class Cells:
    """How documents are told apart: by these columns, of which the first is `source`."""

    columns: tuple[Column, ...]

    @classmethod
    def of(
        cls,
        columns: Iterable[str],
        edges: Mapping[str, Sequence[Number]],
        named: Mapping[str, Iterable[str]],
    ) -> Cells:
        return cls(
            tuple(
                Column(
                    name,
                    tuple(edges[name]) if name in edges else None,
                    frozenset(named[name]) if name in named else None,
                )
                for name in columns
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def find(self, docs: Documents) -> tuple[npt.NDArray[np.int64], list[Values]]:
        """The cell of each document, as codes int64[n], and the values of the cells that the codes stand
        for."""
        import numpy as np

        codes = np.zeros(len(docs), np.int64)
        cells: list[Values] = [()] if len(docs) else []
        for column in self.columns:
            own, values = column.values_of(docs)
            told = [column.told(value) for value in values]
            pairs, codes = np.unique(codes * len(values) + own, return_inverse=True)
            made = [(*cells[pair // len(values)], told[pair % len(values)]) for pair in pairs.tolist()]
            cells = list(dict.fromkeys(made))  # values that count as the same were apart until here
            numbers = {cell: number for number, cell in enumerate(cells)}
            codes = np.array([numbers[cell] for cell in made], np.int64)[codes.reshape(-1)]
        return codes, cells


def carried_columns(cells: Cells) -> dict[str, str]:
    """The columns that documents must keep when they are encoded, besides those they keep anyway, each with
    what it holds: `text` or `number`."""
    return {
        one.name: "text" if one.edges is None else "number"
        for one in cells.columns
        if one.name not in ENCODED
    }
