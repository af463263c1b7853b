"""The record of a plan (`plan.json`) from what was planned and the documents that phases end in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import pyarrow as pa

from corpusmill.mixtures.plan.cells import SOURCE, Values
from corpusmill.mixtures.plan.histogram import CellSums, by_cell, total_of
from corpusmill.mixtures.plan.planning import Planned, group_plans
from corpusmill.mixtures.plan.selection import Stop, stops
from corpusmill.mixtures.plan.shortfalls import of_a_source
from corpusmill.pipelines.records.mixture_plan import (
    CellPlan,
    GroupPlan,
    HeldOutOfSource,
    HeldOutPlan,
    MixturePlan,
    PhasePlan,
    SourcePlan,
    Stretch,
)

_NAMED = 3  # groups with a source's documents that its shortfall names


class Options(Protocol):
    """Options of the mixture that its plan states."""

    @property
    def tokens(self) -> int | None: ...
    @property
    def max_epochs(self) -> float: ...
    @property
    def held_out(self) -> float: ...


def made_plan(
    planned: Planned, sums: pa.Table, edge: pa.Table, seed: int, bins: int, options: Options
) -> MixturePlan:
    """The plan. `sums`: a HISTOGRAM; `edge`: EDGE rows."""
    present, apart = by_cell(sums), by_cell(sums, apart=True)
    found = stops(planned.walks, edge)
    epochs = {cell: [stop.epochs for stop in some] for cell, some in found.items()}
    wanted = {
        cell for root in planned.roots for leaf in root.leaves() if leaf.share > 0 for cell in leaf.cells
    }
    cells = tuple(
        _cell(values, total_of(present, values), values in wanted, _stretches(planned, values, some))
        for values, some in sorted(found.items())
    )
    held_documents = {cell: one.totals[1] for cell, one in apart.items()}
    phases = tuple(_phase(planned, at, cells, held_documents, epochs) for at in range(len(planned.phases)))
    columns = planned.cells.columns
    return MixturePlan(
        seed=seed,
        bins=bins,
        columns=planned.cells.names,
        edges={one.name: one.edges for one in columns if one.edges is not None},
        named={one.name: tuple(sorted(one.named)) for one in columns if one.named is not None},
        requested_tokens=options.tokens,
        tokens=sum(phase.tokens for phase in phases),
        documents=sum(cell.documents for cell in cells),
        bytes=sum(phase.bytes for phase in phases),
        max_epochs=options.max_epochs,
        cells=cells,
        phases=phases,
        sources=_sources(planned, cells, phases, epochs),
        held_out=_held_out(apart, wanted, options.held_out),
    )


def _stretches(planned: Planned, cell: Values, found: Sequence[Stop]) -> tuple[Stretch, ...]:
    """What each phase takes of a cell, from where it ends and where the one before ended."""
    made = []
    before, within = (0, 0), False
    for given, stop in zip(planned.given, found, strict=True):
        asked, taken = given[cell]
        documents = stop.documents - before[0] + (within and taken > 0)
        made.append(Stretch(asked, taken, documents, stop.bytes - before[1], stop.place))
        before = stop.documents, stop.bytes
        within = stop.place.last is not None and stop.place.last.tokens > 0
    return tuple(made)


def _epochs_of(
    cells: Iterable[CellPlan], epochs: Mapping[Values, Sequence[Fraction]], at: int | None
) -> float | None:
    """Epochs of some cells together that one phase takes, or all (None): by the tokens of each."""
    taken, whole = Fraction(0), 0
    for cell in cells:
        ends = [Fraction(0), *epochs[cell.values]]
        taken += cell.available_tokens * (ends[-1] if at is None else ends[at + 1] - ends[at])
        whole += cell.available_tokens
    return float(taken / whole) if whole else None


def _cell(values: Values, total: tuple[int, ...], wanted: bool, some: tuple[Stretch, ...]) -> CellPlan:
    tokens, documents, size = total
    return CellPlan(values, tokens, documents, size, wanted, some)


def _phase(
    planned: Planned,
    at: int,
    cells: Sequence[CellPlan],
    held_documents: Mapping[Values, int],
    epochs: Mapping[Values, Sequence[Fraction]],
) -> PhasePlan:
    phase = planned.phases[at]
    some = [cell.phases[at] for cell in cells]
    by_values = {cell.values: cell for cell in cells}

    def epochs_of(inside: Iterable[Values]) -> float | None:
        return _epochs_of((by_values[one] for one in inside), epochs, at)

    return PhasePlan(
        name=phase.name,
        requested_tokens=planned.budgets[at],
        tokens=sum(one.tokens for one in some),
        documents=sum(one.documents for one in some),
        bytes=sum(one.bytes for one in some),
        groups=tuple(
            group_plans(planned.roots[at], planned.given[at], held_documents, epochs_of, planned.cells)
        ),
        nearest=planned.nearest[at],
        sequence_length=phase.sequence_length,
    )


def _sources(
    planned: Planned,
    cells: Sequence[CellPlan],
    phases: Sequence[PhasePlan],
    epochs: Mapping[Values, Sequence[Fraction]],
) -> dict[str, SourcePlan]:
    """What is taken of each source, those included that only the groups name."""
    drawn = sum(phase.tokens for phase in phases)
    asked = sum(planned.budgets)
    groups = [group for phase in phases for group in phase.groups if group.by == (SOURCE,)]
    names = {cell.values[0] for cell in cells} | {group.values[0] for group in groups}
    found = {}
    for source in sorted(names):
        mine = [cell for cell in cells if cell.values[0] == source]
        requested = sum(_requested(source, phase, at, mine) for at, phase in enumerate(phases))
        plan = replace(_source(mine, drawn), epochs=_epochs_of(mine, epochs, None))
        plan = replace(plan, requested_tokens=requested, requested_share=requested / asked if asked else 0.0)
        own = [group for group in groups if group.values[0] == source]
        if len(phases) == 1 and own:
            plan = _as_asked(plan, own[0])
        found[source] = plan if plan.cause else _with_cause(source, plan, planned, phases)
    return found


def _requested(source: str, phase: PhasePlan, at: int, cells: Iterable[CellPlan]) -> int:
    """What a phase asks of a source: of its group, or of its cells where it is none."""
    for group in phase.groups:
        if (group.by, group.values) == ((SOURCE,), (source,)):
            return group.requested_tokens
    return sum(cell.phases[at].requested_tokens for cell in cells)


def _with_cause(source: str, plan: SourcePlan, planned: Planned, phases: Sequence[PhasePlan]) -> SourcePlan:
    """The plan of a source that gives less than it is asked for, with the groups that miss their shares."""
    missed: list[tuple[int, str, str]] = []
    for phase, root in zip(phases, planned.roots, strict=True):
        where = f"{phase.name}: " if len(phases) > 1 else ""
        missed += [(n, cause, where + name) for n, cause, name in of_a_source(source, phase, root)]
    if plan.tokens >= plan.requested_tokens or not missed:
        return plan
    missed.sort(key=lambda one: -one[0])
    more = f" and {len(missed) - _NAMED:,} more" if len(missed) > _NAMED else ""
    named = ", ".join(f"{name} ({cause})" for _, cause, name in missed[:_NAMED])
    words = f"{plan.requested_tokens:,} tokens asked, {plan.tokens:,} drawn: {named}{more}"
    return replace(plan, cause=missed[0][1], shortfall=words)


def _source(cells: Iterable[CellPlan], drawn: int) -> SourcePlan:
    mine = list(cells)
    some = [stretch for cell in mine for stretch in cell.phases]
    tokens = sum(one.tokens for one in some)
    available = sum(cell.available_tokens for cell in mine)
    return SourcePlan(
        available_tokens=available,
        available_documents=sum(cell.available_documents for cell in mine),
        available_bytes=sum(cell.available_bytes for cell in mine),
        requested_share=0.0,
        requested_tokens=0,
        tokens=tokens,
        documents=sum(cell.documents for cell in mine),
        bytes=sum(one.bytes for one in some),
        share=tokens / drawn if drawn else None,
        epochs=None,
        shortfall=None,
        cause=None,
    )


def _as_asked(plan: SourcePlan, group: GroupPlan) -> SourcePlan:
    """The plan of a source that is itself a group."""
    return replace(
        plan,
        requested_share=group.requested_share,
        requested_tokens=group.requested_tokens,
        shortfall=group.shortfall,
        cause=group.cause,
    )


def _held_out(sums: Mapping[Values, CellSums], wanted: Iterable[Values], share: float) -> HeldOutPlan:
    """What is drawn once to be judged on: of the cells that are trained on."""
    totals: dict[str, tuple[int, int, int]] = {cell[0]: (0, 0, 0) for cell in sums if cell in wanted}
    for cell, one in sums.items():
        if cell in wanted:
            tokens, documents, size = one.totals
            before = totals[cell[0]]
            totals[cell[0]] = before[0] + tokens, before[1] + documents, before[2] + size
    sources = {
        source: HeldOutOfSource(bytes=size, documents=documents, tokens=tokens)
        for source, (tokens, documents, size) in sorted(totals.items())
    }
    return HeldOutPlan(
        bytes=sum(one.bytes for one in sources.values()),
        documents=sum(one.documents for one in sources.values()),
        share=share,
        sources=sources,
        tokens=sum(one.tokens for one in sources.values()),
    )
