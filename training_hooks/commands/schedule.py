"""`corpusmill schedule`: pipeline schedules printed, drawn, simulated and compared."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.written_files import write_text
from corpusmill.training_hooks.schedules.blocking import programs, run_blocking
from corpusmill.training_hooks.schedules.drawing import as_svg, as_text
from corpusmill.training_hooks.schedules.methods import METHODS, MOST, stated
from corpusmill.training_hooks.schedules.methods import made as by_name
from corpusmill.training_hooks.schedules.simulate import (
    Timeline,
    Times,
    parameter_copies,
    peak_activations,
    simulate,
)


@dataclass(frozen=True)
class ScheduleFigures:
    """What a simulated schedule costs, in the unit of the times.

    `bubble`: time in which a rank waits, the least and the most of all ranks. `activations`: the most of a
    rank at once, each of one chunk in one stage; `parameters`: ranks that have each stage. `stated_*` are the
    report's formulas. `makespan_blocking`: the step where every send waits for its receiver.
    """

    method: str
    ranks: int
    chunks: int
    stages: int
    times: Times
    makespan: float
    makespan_blocking: float
    bubble: tuple[float, float]
    stated_bubble: float
    activations: int
    stated_activations: int
    parameters: float
    stated_parameters: int
    actions: tuple[tuple[str, ...], ...] = ()


def schedule(
    method: str | None,
    *,
    ranks: int,
    chunks: int,
    forward: float,
    backward: float,
    weight: float,
    overlapped: float | None,
    svg: Path | None = None,
) -> tuple[list[ScheduleFigures], str]:
    """Figures of one schedule with its actions, or of all where `method` is None; and the same in words.

    Times are those of one of `ranks` equal parts of the model: DualPipeV's stages, two a rank, take half of
    them. `overlapped` None: forward + backward. `svg`: where to draw the one schedule. Raises UserError for
    times, numbers or methods that cannot be, and a file that cannot be written.
    """
    if method is None and svg is not None:
        raise UserError(f"--svg draws one schedule; name one of {', '.join(METHODS)}")
    if method is not None and method not in METHODS:
        raise UserError(f"no schedule {method!r}; there are {', '.join(METHODS)}")
    try:
        times = Times(forward, backward, weight, forward + backward if overlapped is None else overlapped)
        with _no_collector():
            found = [_figures(one, ranks, chunks, times) for one in ([method] if method else METHODS)]
    except ValueError as error:
        alone = method is None and ranks * chunks <= MOST  # another may have these numbers
        cure = "" if not alone else f"; or name another schedule alone, such as {next(iter(METHODS))}"
        raise UserError(f"{error}{cure}") from None
    if method is None:
        return [figures for figures, _ in found], _compared([figures for figures, _ in found])
    figures, timeline = found[0]
    if svg is not None:
        write_text(svg, as_svg(timeline))
    return [figures], f"{_compared([figures])}\n\n{as_text(timeline.schedule)}"


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without Python's collector of cycles. Simulating makes millions of objects and no cycle; the collector
    would walk all there are again and again, which takes longer the more there are."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _figures(method: str, ranks: int, chunks: int, times: Times) -> tuple[ScheduleFigures, Timeline]:
    made = by_name(method, ranks, chunks)
    shares = made.stages // ranks  # stages that share what a rank has of the model
    own = Times(*(time / shares for time in (times.forward, times.backward, times.weight, times.overlapped)))
    timeline = simulate(made, lambda _, action: own.of(action))
    blocking = run_blocking(made, programs(made), lambda _, action: own.of(action))
    bubbles = [timeline.bubble(rank) for rank in range(ranks)]
    row = stated(method, ranks, own)
    figures = ScheduleFigures(
        method=method,
        ranks=ranks,
        chunks=chunks,
        stages=made.stages,
        times=own,
        makespan=timeline.makespan,
        makespan_blocking=blocking.makespan,
        bubble=(min(bubbles), max(bubbles)),
        stated_bubble=row.bubble,
        activations=max(peak_activations(made)),
        stated_activations=row.activations,
        parameters=parameter_copies(made),
        stated_parameters=row.parameters,
        actions=tuple(tuple(map(str, actions)) for actions in made.actions),
    )
    return figures, timeline


def _compared(found: list[ScheduleFigures]) -> str:
    """A table: what is simulated, and the report's formula in brackets."""
    rows = [("schedule", "stages", "step", "blocking sends", "bubble", "activations", "parameters")]
    for one in found:
        low, high = one.bubble
        bubble = f"{low:.6g}" if high - low < 1e-9 * one.makespan else f"{low:.6g} to {high:.6g}"
        rows.append(
            (
                one.method,
                f"{one.stages}",
                f"{one.makespan:.6g}",
                f"{one.makespan_blocking:.6g}",
                f"{bubble} ({one.stated_bubble:.6g})",
                f"{one.activations} ({one.stated_activations})",
                f"{one.parameters:g}x ({one.stated_parameters}x)",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    notes = "in brackets: the report's formulas; activations: of one chunk in one stage"
    return "\n".join([*lines, notes])
