"""`regular_expression`: regular expressions that a column must or must not match."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.filters.rules.names import ReasonName
from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Filter


class RegularExpression(Filter):
    """Remove documents by regular expressions; the name of the first that decides is the reason.

    The syntax is RE2's (github.com/google/re2/wiki/Syntax), computed by Arrow: no look-around and no
    backreferences, and time linear in the text whatever the expression. `(?i)` before one ignores case,
    `(?s)` lets `.` stand for line ends, `(?m)` lets `^` and `$` stand at lines, `(?:word.*){3}` asks for
    three. The column `regular_expression.<name>` says whether it matches; null matches nothing.
    """

    measured: ClassVar[tuple[str, ...]] = ("patterns", "column")

    patterns: dict[ReasonName, Annotated[str, Field(min_length=1, max_length=10_000)]] = Field(
        min_length=1, description="Regular expressions (RE2) by the reason of removal."
    )
    column: str = Field(
        "text", min_length=1, description="Column of text that is searched, such as text or url."
    )
    remove: Literal["matching", "other"] = Field(
        "matching", description="Remove documents that match a pattern, or those that do not."
    )

    @field_validator("patterns")
    @classmethod
    def _of_re2(cls, value: dict[str, str]) -> dict[str, str]:
        from corpusmill.filters.rules.expressions import check_pattern

        for pattern in value.values():
            check_pattern(pattern)
        return value

    def score(self, docs: Documents) -> Columns:
        """Whether each pattern matches, bool[n]. Raises UserError where the column is no text or missing."""
        import pyarrow.compute as pc

        names = docs.table.column_names
        if self.column not in names:
            raise UserError(f"{self.name}.column: no column `{self.column}`; there are {', '.join(names)}")
        column = docs.column(self.column)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise UserError(f"{self.name}.column: `{self.column}` is {column.type}, not text; name another")
        matches = {name: pc.match_substring_regex(column, regex) for name, regex in self.patterns.items()}
        return {name: match.fill_null(False) for name, match in matches.items()}

    def warm(self) -> None:
        """Nothing: there are no kernels, and an empty batch lacks the columns of steps before."""

    def judge(self, scores: Columns) -> pa.Array:
        """The first pattern that decides."""
        matches = {name: np.asarray(scores[name], bool) for name in self.patterns}
        if self.remove == "other":
            matches = {name: ~match for name, match in matches.items()}
        return reason_where(*((match, name) for name, match in matches.items()))
