"""Limits that may differ by language.

A filter with limits has a field for each and `by_language`, from a language code to limits that replace the
filter's own for documents whose `lang` column holds that code; what an entry leaves out is the filter's own.
The choice is written as the score column `limits` (null: the filter's own), so that judging needs nothing but
the scores. Entries are completed when a filter is validated, so that one written out and read back is the
same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import Rule, judged
from corpusmill.pipelines.contract.stage import Filter, Stage


class Limits(BaseModel):
    """Base of groups of limits; null switches one off, 0 is a limit like any other."""

    model_config = ConfigDict(frozen=True, extra="forbid")


L = TypeVar("L", bound=Limits)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
ByLanguage = Annotated[
    dict[str, L],
    Field(
        validate_default=True,
        description="Limits for documents of a language, by code; {}: the same limits for all languages.",
    ),
]


class LimitsByLanguage(Filter):
    """Base of filters with a field `by_language`: `measure` gives the scores, `rules` the verdicts."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.produces = (*cls.produces, f"{cls.name}.limits")

    @field_validator("by_language", check_fields=False)
    @classmethod
    def _complete(cls, value: dict[str, L], info: ValidationInfo) -> dict[str, L]:
        """With what an entry leaves out taken from the filter's own options."""
        return {
            code: limits.model_copy(
                update={
                    name: info.data[name]
                    for name in type(limits).model_fields
                    if name not in limits.model_fields_set and name in info.data
                }
            )
            for code, limits in sorted(value.items())
        }

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """Languages that no document can have, where a stage before this one identifies them."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        if not any(stage.name == "language" for stage in before):
            return []  # documents have whatever codes the input gives them
        return [("by_language", wrong) for wrong in unknown_codes(self._languages())]

    @abstractmethod
    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """Score columns of n rows each; `numbers` int64[n] says which of `alternatives` hold for each."""

    def listed_rules(self) -> tuple[Rule, ...]:
        """The rules in order."""
        return self.rules

    def score(self, docs: Documents) -> Columns:
        """What is measured, and `limits` string[n]: the key of `by_language` that holds, null for none."""
        import pyarrow.compute as pc

        codes = docs.column("lang").cast(pa.string())
        known = pc.is_in(codes, value_set=pa.array(list(self._languages()), pa.string()))
        limits = pc.if_else(known, codes, pa.scalar(None, pa.string()))
        return {**self.measure(docs, self._numbers(limits)), "limits": limits}

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in their order."""
        limits = scores["limits"]
        numbers = self._numbers(limits if isinstance(limits, pa.Array) else pa.array(limits, pa.string()))
        return judged(self.listed_rules(), scores, partial(self._limit, numbers))

    def alternatives(self, option: str) -> list[Any]:
        """The values of an option: the filter's own, then that of each language."""
        return [getattr(self, option), *(getattr(limits, option) for limits in self._languages().values())]

    def _languages(self) -> Mapping[str, Limits]:
        found: Mapping[str, Limits] = dict(self)["by_language"]
        return found

    def _numbers(self, limits: pa.Array) -> npt.NDArray[np.int64]:
        """int64[n]: 0 for the filter's own limits, 1 + the position in `by_language` for others."""
        import pyarrow.compute as pc

        found = pc.index_in(limits.cast(pa.string()), pa.array(list(self._languages()), pa.string()))
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64) + 1

    def _limit(self, numbers: npt.NDArray[np.int64], option: str) -> npt.NDArray[np.float64]:
        """float64[n]: an option, or item `n` of one (`option.n`), as it holds for each row; NaN for null."""
        name, _, item = option.partition(".")
        values = [value.get(int(item)) if item else value for value in self.alternatives(name)]
        return np.array([np.nan if value is None else float(value) for value in values])[numbers]
