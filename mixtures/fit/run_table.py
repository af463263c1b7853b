"""The table of small runs: mixtures that were trained on, and the losses they led to, as a plain CSV.

    run,weight.web,weight.code,loss.web,loss.code
    0,0.7,0.3,1.312,0.842

A row is one run. `weight.<source>` are shares of the tokens trained on and add up to 1; `loss.<measure>` is
what the run is judged by, lower is better: bits per byte of documents held out, by source, where `mixture
runs` wrote the table. Any other table of this form serves as well, from whatever trainer.

Olmix's form is read too: one file of ratios and one of metrics, joined by `run` (or `run_id`), whose columns
have no prefix; a column `name` is left out.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import DataError

WEIGHT, LOSS = "weight.", "loss."
TOLERANCE = 1e-3  # of the sum of a row's weights, which people round

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunTable:
    """N runs of mixtures over S sources, judged by M measures: `weights` (each row adds up to 1) and
    `losses`, float64."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    measures: tuple[str, ...]
    weights: Floats
    losses: Floats

    def __len__(self) -> int:
        return len(self.names)


def read_table(path: Path, metrics: Path | None = None) -> RunTable:
    """The table in a CSV file, or in one of ratios and one of `metrics`.

    Raises DataError naming file, line and column of what is wrong.
    """
    header, rows = _read(path)
    if metrics is None:
        sources, measures = _named(header, WEIGHT), _named(header, LOSS)
        columns = [WEIGHT + name for name in sources], [LOSS + name for name in measures]
    else:
        more, others = _read(metrics)
        by_run = {_run(row): (where, row) for where, row in others}
        joined = []
        for where, row in rows:
            if _run(row) not in by_run:
                raise DataError(f"{where}: run {_run(row)} has no line in {metrics}")
            joined.append((where, by_run[_run(row)][1] | row))
        rows, sources, measures = joined, _plain(header), _plain(more)
        columns = list(sources), list(measures)
    if len(sources) < 2 or not measures:
        raise DataError(
            f"{path}, line 1: a table needs at least two columns `{WEIGHT}<source>` and one "
            f"`{LOSS}<measure>`, as `corpusmill mixture runs` writes them; found: {', '.join(header)}"
        )
    values = np.empty((len(rows), len(sources) + len(measures)))
    for at, (where, row) in enumerate(rows):
        weights = [_number(row, column, where) for column in columns[0]]
        total = math.fsum(weights)
        if min(weights) < 0 or abs(total - 1.0) > TOLERANCE:
            raise DataError(f"{where}: weights must be 0 or more and add up to 1, they add up to {total:g}")
        values[at] = [*(weight / total for weight in weights), *(_number(row, c, where) for c in columns[1])]
    names = tuple(_run(row) or str(at) for at, (_, row) in enumerate(rows))
    first: dict[str, str] = {}
    for name, (where, _) in zip(names, rows, strict=True):
        if name in first:
            raise DataError(f"{where}: run {name} stands in {first[name]} too; give each run its own name")
        first[name] = where
    return RunTable(names, sources, measures, values[:, : len(sources)], values[:, len(sources) :])


def _read(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """Header and lines, each with its place."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DataError(f"{path}: cannot be read ({why}); correct the path, or its access") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}") from error
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}, line 1: column {name} stands there twice; leave one")
    rows = []
    for fields in reader:
        where = f"{path}, line {reader.line_num}"
        if fields and len(fields) != len(header):
            raise DataError(f"{where}: {len(fields)} fields, the header has {len(header)}")
        if fields:
            rows.append((where, dict(zip(header, fields, strict=True))))
    return header, rows


def _run(row: Mapping[str, str]) -> str:
    return row.get("run") or row.get("run_id") or ""


def _plain(header: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in header if name not in ("run", "run_id", "name"))


def read_mixtures(path: Path, sources: Sequence[str]) -> list[Floats]:
    """Mixtures alone, float64[S] each, from columns `weight.<source>`; columns of losses may be missing.

    Raises DataError where a source has no column, or weights do not add up to 1.
    """
    header, rows = _read(path)
    missing = [name for name in sources if WEIGHT + name not in header]
    if missing or not rows:
        what = f"no column {WEIGHT}{missing[0]}" if missing else "no mixture"
        raise DataError(f"{path}: {what}; each line is a mixture of {', '.join(sources)}")
    found = []
    for where, row in rows:
        weights = np.array([_number(row, WEIGHT + name, where) for name in sources])
        if weights.min() < 0 or abs(weights.sum() - 1.0) > TOLERANCE:
            raise DataError(f"{where}: weights must be 0 or more and add up to 1, not {weights.sum():g}")
        found.append(weights / weights.sum())
    return found


def write_table(path: Path, table: RunTable) -> None:
    """Write `table` as CSV, in place of what is there; numbers read back as they are."""
    columns = ["run", *(WEIGHT + name for name in table.sources), *(LOSS + name for name in table.measures)]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    for name, weights, losses in zip(table.names, table.weights, table.losses, strict=True):
        writer.writerow([name, *map(repr, weights.tolist()), *map(repr, losses.tolist())])
    part = path.with_name(path.name + ".part")
    part.write_text(lines.getvalue(), "utf-8")
    part.replace(path)


def _named(header: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in header if name.startswith(prefix))


def _number(row: Mapping[str, str], column: str, where: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}, column {column}: {row[column]!r} is no number; leave the row out")
    return value
