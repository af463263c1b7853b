"""Rules of filters, as data: which score, on the wrong side of which option, is the reason for removal.

A filter lists them in `rules`, in order: the first one broken is the reason. Comparisons are strict. A rule
whose score or limit is null is not broken, so null as an option switches its rule off and 0 is a limit like
any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Columns, reason_where

LIMITS, NOT_JUDGED = "limits", "none"
"""The score column by which a filter tells which limits it held a document to, and what stands in it where
it has none for the document's language: such documents are kept, and counted as not judged."""


@dataclass(frozen=True)
class Rule:
    """Remove documents whose `score` is `under` or `over` the option `limit`, or `missing`, for `reason`."""

    score: str
    side: Literal["under", "over", "missing"]
    limit: str | None
    reason: str


def under(score: str, limit: str, reason: str) -> Rule:
    """Remove what scores less than the option `limit`."""
    return Rule(score, "under", limit, reason)


def over(score: str, limit: str, reason: str) -> Rule:
    """Remove what scores more than the option `limit`."""
    return Rule(score, "over", limit, reason)


def missing(score: str, reason: str) -> Rule:
    """Remove what has no such score."""
    return Rule(score, "missing", None, reason)


def judged(
    rules: Sequence[Rule], scores: Columns, limit: Callable[[str], float | npt.NDArray[np.float64] | None]
) -> pa.Array:
    """Reasons string[n] by the rules in order; `limit` gives an option's value, or float64[n], one a row.

    Raises KeyError for a score that there is not, and ValueError without rules.
    """
    return reason_where(*((_broken(rule, floats(scores[rule.score]), limit), rule.reason) for rule in rules))


def _broken(
    rule: Rule, score: npt.NDArray[np.float64], limit: Callable[[str], float | npt.NDArray[np.float64] | None]
) -> npt.NDArray[np.bool_]:
    if rule.limit is None:
        return np.isnan(score)
    value = limit(rule.limit)
    if value is None:
        return np.zeros(len(score), np.bool_)
    return score < value if rule.side == "under" else score > value


def floats(column: pa.Array | npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """float64[n] of a score column; null becomes NaN, which no comparison fulfils."""
    if not isinstance(column, pa.Array):
        return np.asarray(column, np.float64)
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> pa.Array:
    """double[n]: part / whole, null where whole is 0."""
    quotient = np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
    return pa.array(quotient, mask=whole == 0)
