"""`listed`: documents whose column has a value that a file lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError, UserError
from corpusmill.pipelines.contract.stage import Context, Filter


class Listed(Filter):
    """Remove documents whose value in a column a file lists, or those whose value it does not list.

    The file is text in UTF-8 with a value a line (blank lines, and those that begin with `#`, count for
    nothing), or with `field` JSON Lines, of which that field is taken. Its content is part of the step's
    fingerprint: a changed list makes the step again. White space around a value is left out; null is not
    listed. Reasons: `listed`, `unlisted`. Memory: the values of the list.
    """

    produces: ClassVar[tuple[str, ...]] = ("listed.listed",)
    measured: ClassVar[tuple[str, ...]] = ("file", "column", "field", "ignore_case")

    single_files: ClassVar[tuple[str, ...]] = ("file",)

    file: Path = Field(description="The list: text, a value a line, or JSON Lines with `field`.")
    column: str = Field(min_length=1, description="Column that is looked up, such as repo, license or url.")
    field: str | None = Field(None, description="Field of JSON Lines that holds the value; null: plain text.")
    remove: Literal["listed", "unlisted"] = Field(
        "listed", description="Remove documents whose value is listed, or those whose value is not."
    )
    ignore_case: bool = Field(False, description="Compare values in lower case.")

    _values: pa.Array | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """The list read. Raises DataError, with the line, where it cannot be."""
        ready = self.model_copy()
        ready._values = self._compared(pa.array(sorted(self._read()), pa.string()))
        return ready

    def _compared(self, values: pa.Array) -> pa.Array:
        """Values as they are compared: those of the list and of the column by the same functions."""
        import pyarrow.compute as pc

        values = pc.utf8_trim_whitespace(values)
        return pc.utf8_lower(values) if self.ignore_case else values

    def _read(self) -> set[str]:
        found: set[str] = set()
        for number, line in enumerate(self.file.read_bytes().split(b"\n"), 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                value = self._value(text) if self.field is not None and text else text
            except (UnicodeDecodeError, ValueError) as error:
                raise DataError(f"{self.file}:{number}: {self.name} cannot read the line: {error}") from error
            if value and not (self.field is None and value.startswith("#")):
                found.add(value)
        if not found:
            raise DataError(f"{self.file}: {self.name} finds no value in it; write one a line")
        return found

    def _value(self, line: str) -> str:
        record = json.loads(line)
        value = record.get(self.field) if isinstance(record, dict) else None
        if not isinstance(value, str):
            raise ValueError(f"its field `{self.field}` is no text")
        return value.strip()

    def score(self, docs: Documents) -> Columns:
        """`listed` bool[n]. Raises UserError without the column, or where it is no text."""
        import pyarrow.compute as pc

        if self._values is None:
            raise CorpusmillError(f"{self.name} is not ready: call prepare first")
        names = docs.table.column_names
        if self.column not in names:
            raise UserError(f"{self.name}.column: no column `{self.column}`; there are {', '.join(names)}")
        column = docs.column(self.column)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise UserError(f"{self.name}.column: `{self.column}` is {column.type}, not text; name another")
        column = self._compared(column)
        return {"listed": pc.is_in(column, value_set=self._values.cast(column.type))}

    def judge(self, scores: Columns) -> pa.Array:
        """By `remove`."""
        found = np.asarray(scores["listed"], bool)
        return reason_where((found if self.remove == "listed" else ~found, self.remove))
