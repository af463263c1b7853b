"""What a recipe would cost on input of another size: the estimate of a cut, carried on to it.

Seconds and bytes of a step grow with the input; those of a single unit (the artefact of a fold, training) do
not. How many units a step has follows from the same rules as in a run: bytes of text a unit, partitions,
layouts of exchanges. It is an estimate: expect it within a factor of two where the input is like the cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.estimate import Estimate
from corpusmill.pipelines.run.operators.fold_combine import FAN_IN
from corpusmill.pipelines.run.operators.fold_map import LEAST_UNITS
from corpusmill.pipelines.run.operators.layout import layout_of, rounded, together
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.operators.scatter import PARTITION_BYTES
from corpusmill.pipelines.storage.datasets import MASK_UNITS

UNIT_BYTES = 106  # of a unit's receipt on disk, measured by benchmarks/scale.py
RUNNER_SECONDS = 0.5e-3  # of the runner's processor time a unit: task, outcome and receipt
MOST_PARTITIONS = 65_536
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([KMGTP]?i?)B?\s*", re.IGNORECASE)


def size_of(text: str) -> int:
    """Bytes of a size such as `100TB` or `1.5 TiB`. Raises UserError for what is none."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UserError(f"--at: {text!r} is no size; write for example 10TB or 1.5TiB")
    number, unit = float(found.group(1)), found.group(2).upper()
    base = 1024 if unit.endswith("I") else 1000
    size = int(number * base ** " KMGTP".index(unit[:1] or " "))
    if size < 1:
        raise UserError(f"--at: {text!r} is no size above 0; write for example 10TB")
    return size


@dataclass(frozen=True)
class StepAtScale:
    """One step: its units, hours of one core, bytes and files on disk."""

    name: str
    units: int
    core_hours: float
    disk: int
    files: int


@dataclass(frozen=True)
class AtScale:
    """A run on `input_bytes` of input. `metadata`: bytes of receipts; `runner_hours`: processor time of the
    runner; `money`: core-hours and a month of the disk at the prices given, in their currency."""

    input_bytes: int
    steps: tuple[StepAtScale, ...]
    core_hours: float
    disk: int
    files: int
    units: int
    metadata: int
    runner_hours: float
    worker_memory: int
    money: float
    core_hour: float
    disk_month: float


def at_scale(
    recipe: Recipe, cost: Estimate, size: int, *, core_hour: float = 0.04, disk_month: float = 0.02
) -> AtScale:
    """The estimate `cost` of `recipe` carried on to `size` bytes of input. `disk_month`: of a gigabyte."""
    times = size / max(1, cost.input_bytes)
    text = int(cost.text_bytes * times)
    unit_bytes = min(int(source.reader.split_bytes) for source in recipe.sources)
    reading = max(1, -(-size // unit_bytes))
    partitions = min(MOST_PARTITIONS, max(1, rounded(-(-text // PARTITION_BYTES))))
    layout, sharing = layout_of(partitions, reading, text), together(reading, text, LEAST_UNITS)
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
    steps = []
    for row in cost.steps:
        operator = operator_named(row.operator)
        units = 1 if operator.exclusive else by_kind[operator.reads]
        if operator.writes == "rows":
            units = sum(layout.files)
        elif (operator.reads, operator.writes) == ("documents", "partials"):
            units = -(-reading * 5 // (3 * sharing)) if sharing > 1 else reading  # 60% full
        factor = 1.0 if operator.exclusive else times
        disk = int(row.disk * factor)
        steps.append(
            StepAtScale(row.name, units, row.seconds * factor / 3600, disk, round(units * row.files))
        )
    hours, disk = sum(step.core_hours for step in steps), sum(step.disk for step in steps)
    units = sum(step.units for step in steps)
    return AtScale(
        input_bytes=size,
        steps=tuple(steps),
        core_hours=hours,
        disk=disk,
        files=sum(step.files for step in steps),
        units=units,
        metadata=units * UNIT_BYTES,
        runner_hours=units * RUNNER_SECONDS / 3600,
        worker_memory=cost.memory // max(1, cost.workers),
        money=hours * core_hour + disk / 1e9 * disk_month,
        core_hour=core_hour,
        disk_month=disk_month,
    )


def render_at_scale(found: AtScale) -> list[str]:
    """The figures as lines for a terminal."""
    lines = ["", f"at {found.input_bytes / 1e12:,.3g} TB of input, from the same cut:"]
    for step in found.steps:
        lines.append(
            f"  {step.name:<28}{step.units:>12,} units{step.core_hours:>12,.1f} core-hours"
            f"{step.disk / 1e9:>14,.1f} GB{step.files:>14,} files"
        )
    prices = f"at {found.core_hour:g} an hour of a core and {found.disk_month:g} a gigabyte and month"
    return [
        *lines,
        f"  {found.units:,} units, {found.core_hours:,.0f} core-hours, {found.disk / 1e12:,.2f} TB and "
        f"{found.files:,} files on disk,",
        f"  {found.metadata / 1e6:,.0f} MB of receipts, {found.runner_hours:,.1f} hours of the runner, "
        f"{found.worker_memory / 2**30:.1f} GiB a worker;",
        f"  about {found.money:,.0f} {prices}",
    ]
