"""Limits that may differ by language, and the arithmetic of ratios.

A stage with limits has a field for each and `by_language`, from a language code to limits that replace
the stage's own for documents whose `lang` column holds that code; what an entry leaves out is the
stage's own. The choice is written as the score column `limits` (null: the stage's own), so that
judging needs nothing but the scores. Entries are completed when a stage is validated, so
that a stage written out and read back is the same stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict

from corpusmill.pipelines.contract.stage import Filter, Stage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Columns, Documents


class Limits(BaseModel):
    """Base of groups of limits; null switches one off, 0 is a limit like any other."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitsByLanguage(Filter):
    """Base of filters with a field `by_language`."""

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """Languages that no document can have, where a stage before this one identifies them."""
        from corpusmill.filters.rules.language_codes import unknown_codes

        if not any(stage.name == "language" for stage in before):
            return []  # documents have whatever codes the input gives them
        return [("by_language", wrong) for wrong in unknown_codes(dict(self)["by_language"])]


L = TypeVar("L", bound=Limits)


def completed(by_language: Mapping[str, L], own: Mapping[str, Any]) -> dict[str, L]:
    """`by_language` with what an entry leaves out taken from the stage's `own` options."""
    return {
        code: limits.model_copy(
            update={
                name: own[name]
                for name in type(limits).model_fields
                if name not in limits.model_fields_set and name in own
            }
        )
        for code, limits in sorted(by_language.items())
    }


def chosen_limits(docs: Documents, by_language: Mapping[str, Limits]) -> pa.Array:
    """string[n]: the key of `by_language` that holds for each document, null where none does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = docs.column("lang").cast(pa.string())
    known = pc.is_in(codes, value_set=pa.array(sorted(by_language), pa.string()))
    return pc.if_else(known, codes, pa.scalar(None, pa.string()))


def limit_numbers(
    chosen: pa.Array | npt.NDArray[Any], by_language: Mapping[str, Limits]
) -> npt.NDArray[np.int64]:
    """int64[n]: 0 for the stage's own limits, 1 + the position in `by_language` for others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = chosen if isinstance(chosen, pa.Array) else pa.array(chosen, pa.string())
    found = pc.index_in(keys.cast(pa.string()), value_set=pa.array(list(by_language), pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64) + 1


def alternatives(stage: BaseModel, name: str, by_language: Mapping[str, Limits]) -> list[Any]:
    """The values of option `name`: the stage's own, then that of each language."""
    return [getattr(stage, name), *(getattr(limits, name) for limits in by_language.values())]


def limit(
    stage: BaseModel, name: str, scores: Columns, by_language: Mapping[str, Limits]
) -> npt.NDArray[np.float64]:
    """float64[n]: option `name` as it holds for each row; NaN, which no comparison fulfils, for null."""
    import numpy as np

    values = [np.nan if v is None else float(v) for v in alternatives(stage, name, by_language)]
    return np.array(values)[limit_numbers(scores["limits"], by_language)]


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> pa.Array:
    """double[n]: part / whole, null where whole is 0."""
    import numpy as np
    import pyarrow as pa

    quotient = np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
    return pa.array(quotient, mask=whole == 0)


def floats(column: pa.Array | npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """float64[n] of a score column; null becomes NaN, which no comparison fulfils."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.Array):
        return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))
    return np.asarray(column, np.float64)
