"""What a recipe would cost on input of another size: the estimate of a cut, carried on to it.

Seconds and bytes of a step grow with the input; those of a single unit (the artefact of a fold, training) do
not. How many units a step has follows from the same rules as in a run: bytes of text a unit, partitions,
layouts of exchanges. It is an estimate: expect it within a factor of two where the input is like the cut.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.estimate import Estimate
from corpusmill.pipelines.run.operators.fold_combine import FAN_IN
from corpusmill.pipelines.run.operators.fold_map import LEAST_UNITS
from corpusmill.pipelines.run.operators.layout import layout_of, rounded, together
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.operators.resolve_by_rule import OPERATOR as RESOLVE
from corpusmill.pipelines.run.operators.resolve_by_rule import PARTITION_PAIRS
from corpusmill.pipelines.run.operators.scatter import PARTITION_BYTES
from corpusmill.pipelines.run.requests_at_scale import Input, reads_of, writes_of
from corpusmill.pipelines.storage.datasets import MASK_UNITS

UNIT_BYTES = 106  # of a unit's receipt on disk, measured by benchmarks/scale.py
RUNNER_SECONDS = 0.5e-3  # of the runner's processor time a unit: task, outcome and receipt
RUNNER_BYTES = 120 * 10**6  # of the runner itself, measured by benchmarks/growth.py
OPEN_RECEIPTS = (20_000, 5000)  # receipts in memory, and bytes of each: benchmarks/scale.py, `runner`
LISTED_BYTES = 40  # of a unit in the runner: its split and its place in an exchange; the same
PAIR_BYTES = 700  # of a pair in memory that is resolved (`run/resolution/direct.py`)
MOST_PARTITIONS = 65_536
MOST_INPUT = 10**21  # bytes; beyond, figures are no integers any more
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*((?:[KMGTP]i?)?)B?\s*", re.IGNORECASE)


def size_of(text: str) -> int:
    """Bytes of a size such as `100TB` or `1.5 TiB`. Raises UserError for what is none."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UserError(f"--at: {text!r} is no size; write for example 10TB or 1.5TiB")
    number, unit = float(found.group(1)), found.group(2).upper()
    base = 1024 if unit.endswith("I") else 1000
    size = number * base ** " KMGTP".index(unit[:1] or " ")
    if not 1 <= size <= MOST_INPUT:
        raise UserError(f"--at: {text!r} is no size from 1 byte up to 1,000,000 PB; write for example 10TB")
    return int(size)


@dataclass(frozen=True)
class StepAtScale:
    """One step: its units, hours of one core, bytes and files on disk; of a run on object storage, requests
    that write and that read."""

    name: str
    units: int
    core_hours: float
    disk: int
    files: int
    writes: int
    reads: int


@dataclass(frozen=True)
class Prices:
    """In one currency: of an hour of one core, of a gigabyte a month, of a million requests to an object
    store that write (PUT) and of a million that read (GET). The first two are about those of spot machines
    and of object storage, the last two those of S3 in us-east-1 in 2024, in US dollars."""

    core_hour: float = 0.04
    disk_month: float = 0.02
    million_writes: float = 5.0
    million_reads: float = 0.4

    def __post_init__(self) -> None:
        """Raises UserError for what is no price."""
        for name, price in asdict(self).items():
            if not 0 <= price < math.inf:
                option = name.replace("_", "-")
                raise UserError(f"--{option}: {price:g} is no price; write a number from 0 on, such as 0.04")


@dataclass(frozen=True)
class AtScale:
    """A run on `input_bytes` of input. `metadata`: bytes of receipts; `runner_hours`, `runner_memory`:
    processor time and bytes of memory of the runner; `money`: core-hours and a month of the disk; `writes`,
    `reads`, `requests_money`: requests of a run that lies on object storage with its input, and their price.
    """

    input_bytes: int
    steps: tuple[StepAtScale, ...]
    core_hours: float
    disk: int
    files: int
    units: int
    metadata: int
    runner_hours: float
    runner_memory: int
    worker_memory: int
    money: float
    writes: int
    reads: int
    requests_money: float
    prices: Prices


def at_scale(recipe: Recipe, cost: Estimate, size: int, prices: Prices | None = None) -> AtScale:
    """The estimate `cost` of `recipe` carried on to `size` bytes of input."""
    prices = prices or Prices()
    times = size / max(1, cost.input_bytes)
    text = int(cost.text_bytes * times)
    unit_bytes = min(int(source.reader.split_bytes) for source in recipe.sources)
    reading = max(1, -(-size // unit_bytes))
    partitions = min(MOST_PARTITIONS, max(1, rounded(-(-text // PARTITION_BYTES))))
    sharing, sent = together(reading, text, LEAST_UNITS), layout_of(partitions, reading, text)
    by_kind = {
        "files": max(1, reading // 8),
        "splits": reading,
        "documents": reading,
        "encoded": reading,
        "removals": reading,
        "rows": partitions,
        "pairs": max(1, -(-reading // MASK_UNITS)),
        "partials": max(1, -(-reading // (FAN_IN - 1))),
        "artefact": 1,
        "nothing": 1,
    }
    combined = -(-reading * 5 // (3 * sharing)) if sharing > 1 else reading  # 60% full
    given = Input(size, reading, unit_bytes, by_kind["pairs"], combined)
    steps = []
    for row in cost.steps:
        operator = operator_named(row.operator)
        units = 1 if operator.exclusive else by_kind[operator.reads]
        came = sent
        if operator.writes == "rows":
            if operator.reads == "rows":  # a further round of an exchange
                sent = layout_of(partitions, partitions, sharing=False)
            else:
                sent = layout_of(partitions, reading, text)
            units = sum(sent.files)
        elif (operator.reads, operator.writes) == ("documents", "partials"):
            units = combined
        factor = 1.0 if operator.exclusive else times
        disk = int(row.disk * factor)
        files, hours = round(units * row.files), row.seconds * factor / 3600
        writes = writes_of(units, files, disk)
        steps.append(
            StepAtScale(row.name, units, hours, disk, files, writes, reads_of(row, given, came, sent))
        )
    hours, disk = sum(step.core_hours for step in steps), sum(step.disk for step in steps)
    units = sum(step.units for step in steps)
    writes, reads = sum(step.writes for step in steps), sum(step.reads for step in steps)
    pairs = 0
    if any(row.operator == RESOLVE.name for row in cost.steps):
        pairs = int(
            times * max(row.rows for row in cost.steps if operator_named(row.operator).writes == "pairs")
        )
    return AtScale(
        input_bytes=size,
        steps=tuple(steps),
        core_hours=hours,
        disk=disk,
        files=sum(step.files for step in steps),
        units=units,
        metadata=units * UNIT_BYTES,
        runner_hours=units * RUNNER_SECONDS / 3600,
        runner_memory=runner_memory(max(step.units for step in steps)),
        worker_memory=cost.memory // max(1, cost.workers) + resolution_memory(pairs),
        money=hours * prices.core_hour + disk / 1e9 * prices.disk_month,
        writes=writes,
        reads=reads,
        requests_money=(writes * prices.million_writes + reads * prices.million_reads) / 1e6,
        prices=prices,
    )


def runner_memory(units: int) -> int:
    """Bytes of the runner, of a run whose largest step has so many units."""
    receipts, size = OPEN_RECEIPTS
    return RUNNER_BYTES + min(units, receipts) * size + units * LISTED_BYTES


def resolution_memory(pairs: int) -> int:
    """Bytes that a worker takes to resolve its part of so many pairs of near-duplicates."""
    partitions = max(1, min(MOST_PARTITIONS, -(-pairs // PARTITION_PAIRS)))
    return -(-pairs // partitions) * PAIR_BYTES


def size_told(count: float) -> str:
    """Bytes in the unit that leaves a number of 1 to 999."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _figure(value: float) -> str:
    """Of hours or money: with a tenth, and small ones with one digit that is not 0."""
    return (
        f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.1f}" if value >= 0.1 else f"{value:.1g}"
    )


def render_at_scale(found: AtScale) -> list[str]:
    """The figures as lines for a terminal."""
    lines = ["", f"at {size_told(found.input_bytes)} of input, from the same cut:"]
    for step in found.steps:
        lines.append(
            f"  {step.name:<28}{step.units:>12,} units{_figure(step.core_hours):>12} core-hours"
            f"{size_told(step.disk):>14}{step.files:>14,} files"
        )
    given = found.prices
    prices = f"at {given.core_hour:g} an hour of a core and {given.disk_month:g} a gigabyte and month"
    return [
        *lines,
        f"  {found.units:,} units, {_figure(found.core_hours)} core-hours, {size_told(found.disk)} and "
        f"{found.files:,} files on disk,",
        f"  {size_told(found.metadata)} of receipts, {_figure(found.runner_hours)} hours of the runner, "
        f"{found.runner_memory / 2**30:.1f} GiB for it, {found.worker_memory / 2**30:.1f} GiB a worker;",
        f"  about {_figure(found.money)} {prices};",
        f"  on object storage {found.writes:,} requests that write and {found.reads:,} that read: about "
        f"{_figure(found.requests_money)} at {given.million_writes:g} and {given.million_reads:g} a million",
    ]
