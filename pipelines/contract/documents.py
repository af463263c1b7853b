"""The document schema and `Documents`, the table every stage receives.

Columns of every document table (Arrow types):

| column  | type         | meaning                                                              |
|---------|--------------|----------------------------------------------------------------------|
| id      | string       | 32 hex digits, content-stable: see `document_id`                     |
| text    | large_string | the document; null only between a reader of raw pages and `extract`  |
| source  | string       | name of the recipe's source                                          |
| domain  | string       | `web`, `code`, `math`, ...: what the source holds                    |
| url     | string?      | address, where known                                                 |
| path    | string?      | path inside its source or repository, where known                    |
| repo    | string?      | repository or package, where known                                   |
| license | string?      | licence as the source states it, where known                         |
| lang    | string?      | language code, where known (set by `language`)                       |
| meta    | string       | remaining metadata, one JSON object with sorted keys                 |

Stages add score columns named `<stage>.<score>`; readers of raw pages add `raw` (large_binary) and
`content_type` (string), which `extract` consumes.

Kernel convention: a text column is handed to kernels as `(offsets, data)`, int64[n + 1] and uint8[...],
zero-copy views of Arrow's own buffers; document i is `data[offsets[i]:offsets[i + 1]]`. Null is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Number = TypeVar("Number", bound=np.generic)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("path", pa.string()),
        pa.field("repo", pa.string()),
        pa.field("license", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("meta", pa.string(), nullable=False),
    ]
)
BESIDE = ("site", "bytes", "held_out", "scores")  # further columns of exports, which readers leave out
RAW_FIELDS = (pa.field("raw", pa.large_binary()), pa.field("content_type", pa.string()))

Columns = Mapping[str, "pa.Array | npt.NDArray[Any]"]


def document_id(locator: str, content: bytes | memoryview) -> str:
    """The content-stable id of a document: 128-bit XXH3, 32 hex digits.

    `locator` is what the data itself says of where the document comes from (its own id, URL or path
    inside its source), `content` its raw bytes as read. Neither depends on file names, order of
    reading, sharding or time, so the id survives any re-sharding of the input.
    """
    head = locator.encode("utf-8", "surrogatepass")
    digest = xxhash.xxh3_128()
    digest.update(len(head).to_bytes(8, "little"))
    digest.update(head)
    digest.update(content)
    return digest.hexdigest()


def contiguous(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`column` as one array (zero-copy where it already is one chunk)."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks()


def buffers(array: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Kernel view of a large_string or large_binary array: offsets int64[n + 1], data uint8[...].

    Zero-copy. Offsets are absolute into `data`, so a sliced array works unchanged. The arrays may not be
    written, whether or not Arrow's memory may: kernels are compiled once for each. Raises TypeError for any
    other type.
    """
    if not (pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)):
        raise TypeError(f"expected large_string or large_binary, got {array.type}")
    _, offsets, data = array.buffers()
    if len(array) == 0:
        return unwritable(np.zeros(1, np.int64)), unwritable(np.zeros(0, np.uint8))
    ends = unwritable(np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1])
    return ends, unwritable(np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8))


def unwritable(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The same numbers as an array that may not be written."""
    array = array.view()
    array.flags.writeable = False
    return array


class OfText(Protocol):
    """What is known of the texts of a batch, row by row."""

    def rows(self, chosen: npt.NDArray[np.int64]) -> Self:
        """The same of the rows `chosen`, by their numbers."""


Known = TypeVar("Known", bound=OfText)


@dataclass(frozen=True)
class Documents:
    """A batch of documents: rows of the schema above, in a fixed order."""

    table: pa.Table
    _known: dict[type, OfText] = field(default_factory=dict, compare=False, repr=False)

    def of_text(self, kind: type[Known], find: Callable[[Documents], Known]) -> Known:
        """What `find` finds in the texts, found once for this batch and for those made of it.

        It goes on with the rows that are kept, and is dropped where the column `text` changes.
        """
        if kind not in self._known:
            self._known[kind] = find(self)
        return cast("Known", self._known[kind])

    def forget(self) -> Documents:
        """These rows without what was found in their texts."""
        return Documents(self.table)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> pa.Array:
        """One column as a contiguous array. Raises KeyError naming the columns there are."""
        if name not in self.table.column_names:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.table.column_names)}")
        return contiguous(self.table.column(name))

    @property
    def text(self) -> pa.Array:
        """The text column, large_string[n]."""
        return self.column("text")

    def utf8(self, name: str = "text") -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Kernel view `(offsets, data)` of a large_string or large_binary column."""
        return buffers(self.column(name))

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each document, int64[n]: of its text, or of its raw page where text is null.

        Encoded documents have no text any more; their `bytes` column says what it was.
        """
        if "text" not in self.table.column_names:
            return np.asarray(self.column("bytes").to_numpy(zero_copy_only=False), np.int64)
        text = np.diff(self.utf8("text")[0])
        if "raw" in self.table.column_names:
            return text + np.diff(self.utf8("raw")[0])
        return text

    def with_columns(self, columns: Columns) -> Documents:
        """These rows with `columns` replaced or appended. Raises ValueError on a wrong length."""
        table = self.table
        for name, values in columns.items():
            array = values if isinstance(values, pa.Array) else pa.array(values)
            if len(array) != len(self):
                raise ValueError(f"column {name!r} has {len(array)} rows, expected {len(self)}")
            if name in table.column_names:
                position = table.column_names.index(name)
                table = table.set_column(position, pa.field(name, array.type), array)
            else:
                table = table.append_column(name, array)
        return Documents(table) if "text" in columns else Documents(table, self._known)

    def drop(self, *names: str) -> Documents:
        """These rows without the columns `names` (absent ones are ignored)."""
        table = self.table.drop_columns([n for n in names if n in self.table.column_names])
        return Documents(table) if "text" in names else Documents(table, self._known)

    def keep(self, mask: npt.NDArray[np.bool_]) -> Documents:
        """The rows where `mask` (bool[n]) is true; zero-copy where it is everywhere."""
        if mask.all():
            return Documents(self.table, self._known)
        return Documents(self.table.filter(pa.array(mask)), self._known_of(np.flatnonzero(mask)))

    def slice(self, start: int, length: int) -> Documents:
        """`length` rows from `start`, zero-copy."""
        table = self.table.slice(start, length)
        if table.num_rows == len(self):
            return Documents(table, self._known)
        return Documents(table, self._known_of(np.arange(start, start + table.num_rows)))

    def _known_of(self, chosen: npt.NDArray[np.int64]) -> dict[type, OfText]:
        return {kind: known.rows(chosen) for kind, known in self._known.items()}


def nothing(n: int) -> pa.Array:
    """n nulls of type string: no row has a reason or a fault."""
    return pa.nulls(n, pa.string())


def reason_where(*rules: tuple[npt.NDArray[np.bool_] | pa.Array, str]) -> pa.Array:
    """Reasons string[n] from `(mask, reason)` rules; the first rule that holds wins, null keeps.

    A null in an Arrow mask counts as false. Raises ValueError without rules or on unequal lengths.
    """
    if not rules:
        raise ValueError("reason_where needs at least one (mask, reason) rule")
    masks = [
        m.fill_null(False).to_numpy(zero_copy_only=False) if isinstance(m, pa.Array) else np.asarray(m, bool)
        for m, _ in rules
    ]
    n = len(masks[0])
    which = np.full(n, -1, np.int32)
    for index in range(len(rules) - 1, -1, -1):
        if len(masks[index]) != n:
            raise ValueError(f"mask {index} has {len(masks[index])} rows, expected {n}")
        which[masks[index]] = index
    names = pa.array([reason for _, reason in rules], pa.string())
    return names.take(pa.array(which, mask=which < 0))
