"""`expression`: what a document's columns must fulfil, in the recipe's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.filters.rules.names import ReasonName
from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.documents import SCHEMA, Columns, Documents, reason_where
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Filter, Stage

if TYPE_CHECKING:
    from corpusmill.filters.rules.expressions import Expression as Parsed


class Expression(Filter):
    """Keep documents for which expressions over their columns hold; the first that does not is the reason.

    Columns are those of documents (`text`, `url`, `lang`, ...), scores of filters before this one as
    `gopher_quality.words`, and `meta("stars")`. An expression that is null for a document, since a column of
    it is, keeps it: write `coalesce(x, 0)` where null has a meaning. The column `expression.<name>` says what
    each gave. Grammar and functions: docs/custom_filters.md. Computed by Arrow, whose regular expressions are
    RE2's; nothing is evaluated as Python. Time is linear in the columns read.
    """

    measured: ClassVar[tuple[str, ...]] = ("keep",)

    keep: dict[ReasonName, Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description='Conditions by reason, such as {stub: "length(text) > 200"}; all must hold.'
    )

    @field_validator("keep")
    @classmethod
    def _parsed(cls, value: dict[str, str]) -> dict[str, str]:
        from corpusmill.filters.rules.expressions import Expression as Parsed

        for text in value.values():
            Parsed(text)
        return value

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """Scores of stages that do not stand before this one, or that have no such score."""
        by_name = {stage.name: stage for stage in before}
        scores = {
            column for parsed in self._expressions().values() for column in parsed.columns if "." in column
        }
        found = []
        for score in sorted(scores):
            name = score.split(".")[0]
            if name not in by_name:
                words = f"no step `{name}` stands before this one, whose score is `{score}`; put it before"
                found.append(("keep", words))
                continue
            known = [column for column in by_name[name].produces if column.startswith(f"{name}.")]
            if known and score not in known:
                found.append(("keep", f"`{name}` has no score `{score}`; {nearest(score, known)}"))
        return found

    def score(self, docs: Documents) -> Columns:
        """What each expression gives, bool[n]. Raises UserError for columns that there are not, and for types
        that do not go together."""
        found: dict[str, pa.Array] = {}
        for name, parsed in self._expressions().items():
            missing = [column for column in parsed.columns if column not in docs.table.column_names]
            if missing:
                there = ", ".join(sorted({*SCHEMA.names, *docs.table.column_names}))
                raise UserError(f"{self.name}.keep.{name}: no column `{missing[0]}`; there are {there}")
            try:
                value = parsed.over(docs)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                words = " ".join(str(error).split())[:300]
                raise UserError(
                    f"{self.name}.keep.{name}: `{parsed.text}` cannot be computed: {words}"
                ) from error
            if not pa.types.is_boolean(value.type):
                raise UserError(
                    f"{self.name}.keep.{name}: `{parsed.text}` is {value.type}, not true or false; compare it"
                )
            found[name] = value
        return found

    def warm(self) -> None:
        """Nothing: there are no kernels, and an empty batch lacks the columns of steps before."""

    def judge(self, scores: Columns) -> pa.Array:
        """The first expression that is false."""
        import pyarrow.compute as pc

        return reason_where(*((pc.invert(scores[name]), name) for name in self.keep))

    def _expressions(self) -> dict[str, Parsed]:
        from corpusmill.filters.rules.expressions import Expression as Parsed

        return {name: Parsed(text) for name, text in self.keep.items()}
