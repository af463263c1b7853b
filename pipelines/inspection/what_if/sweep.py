"""`what-if --sweep`: how much a filter lets pass, for many values of one threshold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.inspection.scored import Chain, scored
from corpusmill.pipelines.inspection.what_if.answer import Sweep, SweptSource, SweptValue
from corpusmill.pipelines.inspection.what_if.changes import Asked, Change, asked_of, settings_of
from corpusmill.pipelines.inspection.what_if.tokens import Tokens
from corpusmill.pipelines.inspection.what_if.verdicts import verdicts
from corpusmill.pipelines.inspection.what_if.what_if import Sum, not_known
from corpusmill.pipelines.storage.run_folder import RunFolder

_MOST = 500  # values of one sweep
_FORM = "write SOURCE.FILTER.OPTION=FROM:TO:STEP, such as web.gopher_quality.min_words=10:200:10"
_PARTS = ("passed", "kept", "removed_later", "unjudged")


def sweep(folder: RunFolder, written: str) -> Sweep:
    """The curve for the values that `written` names, as `--sweep` takes it.

    Scores are read once, whatever the number of values. Raises UserError for what cannot be asked.
    """
    started = time.perf_counter()
    record = load_record(folder)
    key, equals, text = written.partition("=")
    if not equals:
        raise UserError(f"--sweep {written}: {_FORM}")
    values = list(_values(written, text))
    try:
        by_value = [_asked(record, f"{key}={value}") for value in values]
    except UserError as error:
        raise UserError(str(error).replace("--set ", "--sweep ")) from error
    curves = {
        one.chain.source.name: _Curve(
            record, one.chain, [(v, _mine(asked, one)) for v, asked in zip(values, by_value, strict=True)]
        )
        for one in by_value[0]
    }
    return Sweep(
        run=folder.location,
        key=key.strip(),
        sources={name: curve.drawn() for name, curve in curves.items()},
        not_known=not_known(by_value[0]),
        seconds=time.perf_counter() - started,
    )


def _asked(record: RunRecord, written: str) -> list[Asked]:
    return asked_of(record, settings_of([written], record), may_be_same=True)


def _mine(asked: list[Asked], like: Asked) -> Change:
    found = next(one for one in asked if one.chain.source.name == like.chain.source.name)
    return found.changes[0]


def _values(written: str, text: str) -> Iterator[int | float]:
    """FROM:TO:STEP, both ends included, exact in decimals."""
    try:
        first, last, step = (Decimal(part.strip().replace("_", "")) for part in text.split(":"))
    except (ValueError, InvalidOperation):
        raise UserError(f"--sweep {written}: {_FORM}") from None
    if not all(map(Decimal.is_finite, (first, last, step))) or step <= 0 or last < first:
        raise UserError(f"--sweep {written}: STEP must be above 0, and TO not below FROM; {_FORM}")
    count = int((last - first) / step) + 1
    if count > _MOST:
        raise UserError(f"--sweep {written}: {count:,} values, more than {_MOST}; take larger steps")
    for number in range(count):
        value = first + number * step
        yield int(value) if value == value.to_integral_value() else float(value)


@dataclass
class _Curve:
    """The curve of one source: of each value the filter that has it."""

    record: RunRecord
    chain: Chain
    filters: list[tuple[int | float, Change]]
    sums: list[dict[str, Sum]] = field(default_factory=list)

    def drawn(self) -> SweptSource:
        first = self.filters[0][1]
        number, last = first.number, first.number + 1 == self.chain.kept
        tokens = Tokens(self.record, self.chain.source)
        came = Sum(tokens)
        self.sums = [{name: Sum(tokens) for name in _PARTS} for _ in self.filters]
        for unit in scored(self.record, self.chain, [first.link.name], number):
            sizes, left = unit.table.column("bytes").to_numpy(), unit.left
            every = np.ones(len(left), np.bool_)
            came.add(sizes, every)
            stayed, later = left == self.chain.kept, (left > number) & (left < self.chain.kept)
            for (_, change), sums in zip(self.filters, self.sums, strict=True):
                passed = ~verdicts(unit, change, change.after, every).is_valid().to_numpy(
                    zero_copy_only=False
                )
                new = passed & (left == number)
                sums["passed"].add(sizes, passed)
                sums["kept"].add(sizes, passed & stayed | (new if last else ~every))
                sums["removed_later"].add(sizes, passed & later)
                sums["unjudged"].add(sizes, ~every if last else new)
        values = tuple(
            SweptValue(float(value), **{name: found.amount() for name, found in sums.items()})
            for (value, _), sums in zip(self.filters, self.sums, strict=True)
        )
        return SweptSource(came.amount(), _number(first.settings[0][1]), values)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
