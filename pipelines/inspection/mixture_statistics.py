"""What a mixture is made of: its groups with what each asks and gives, and what is drawn of every language,
licence and domain, with the lengths of documents.

Groups come from the plan alone, so they are told as soon as the mixture is planned; the rest from encoded
documents and shards. Tokens of first copies are `unique_tokens`, all others `repeated_tokens`. Memory: the
plan, and about 300 bytes a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.contract.given import MIXTURE
from corpusmill.pipelines.inspection.drawn_documents import DocumentLengths, ValueLine, drawn_values
from corpusmill.pipelines.inspection.mixture_facts import Shortfall, mixture_facts
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.mixture_plan import (
    FILE,
    CellPlan,
    GroupPlan,
    HeldOutPlan,
    MixturePlan,
    PhasePlan,
    read_plan,
)

TOP = 10  # values of a column that are told apart
_OTHERS = "*"
_SOURCE = "source"


@dataclass(frozen=True)
class Drawn:
    """What is drawn of some documents. `documents`, `bytes`, `tokens`: with copies, a copy that phases divide
    once; `unique_tokens` are of first copies, `repeated_tokens` of all others; `bytes_per_token` and `epochs`
    (how often the tokens there are come) are None of nothing."""

    available_tokens: int
    documents: int
    bytes: int
    tokens: int
    unique_tokens: int
    repeated_tokens: int
    bytes_per_token: float | None
    epochs: float | None


@dataclass(frozen=True)
class GroupLine(Drawn):
    """A source over all phases (`phase` is None), or a group of a phase.

    `by` and `values`: the columns and values that lead to it. `requested_share` and `share` are of the tokens
    asked and drawn of the mixture, or of the phase. `cause` and `shortfall` say why it gives less than it is
    asked for; both are None where it does not.
    """

    phase: str | None
    by: tuple[str, ...]
    values: tuple[str, ...]
    requested_tokens: int
    requested_share: float
    share: float | None
    cause: str | None
    shortfall: str | None

    @property
    def name(self) -> str:
        """How people are told of it: `web / en`."""
        return " / ".join(self.values)


@dataclass(frozen=True)
class MixtureStatistics:
    """All of it. `stale`: the plan was made from other inputs or options than the run has now. `groups`: none
    where the sources are all there is to tell. `values`: by column (`lang`, `license`, `domain`) the values
    with most tokens, the others summed; `lengths`: of documents, by source. `not_known`: what cannot be told
    and why."""

    KIND: ClassVar[str] = "mixture statistics"

    path: str
    stale: bool
    requested_tokens: int | None
    whole: Drawn
    sources: tuple[GroupLine, ...]
    groups: tuple[GroupLine, ...]
    values: Mapping[str, tuple[ValueLine, ...]]
    lengths: tuple[DocumentLengths, ...]
    held_out: HeldOutPlan
    shortfalls: tuple[Shortfall, ...]
    not_known: tuple[str, ...]

    def _repr_html_(self) -> str:
        from corpusmill.pipelines.inspection.statistics_rendering import html_of_statistics

        return html_of_statistics(self)


def mixture_statistics(record: RunRecord, top: int = TOP) -> MixtureStatistics:
    """Statistics of the run's mixture; of each column the `top` values are told apart.

    Raises UserError before a mixture is planned.
    """
    facts, step = mixture_facts(record), record.finished_giving(MIXTURE)
    if facts is None or step is None:
        raise UserError(
            f"{record.folder.location}: no mixture is planned; run a recipe with `mixture` and `pack` to it"
        )
    plan = read_plan(step.data.file(FILE))
    values: Mapping[str, tuple[ValueLine, ...]] = {}
    lengths: tuple[DocumentLengths, ...] = ()
    not_known: tuple[str, ...] = ()
    try:
        values, lengths = drawn_values(record, top)
    except NotKeptError as error:
        not_known = (f"languages, licences, domains and lengths: {error}",)
    except UserError as error:
        not_known = (str(error),)
    return MixtureStatistics(
        path=record.folder.location,
        stale=not step.complete,
        requested_tokens=plan.requested_tokens,
        whole=_drawn(plan.cells, range(len(plan.phases)), None),
        sources=tuple(_source(plan, name) for name in sorted(plan.sources)),
        groups=group_lines(plan) if facts.phases else (),
        values=values,
        lengths=lengths,
        held_out=plan.held_out,
        shortfalls=facts.shortfalls,
        not_known=not_known,
    )


def group_lines(plan: MixturePlan) -> tuple[GroupLine, ...]:
    """Every group of every phase, each before those within it; of one phase by sources alone, the sources."""
    return tuple(
        _group(plan, number, phase, group)
        for number, phase in enumerate(plan.phases)
        for group in phase.groups
    )


def _source(plan: MixturePlan, name: str) -> GroupLine:
    one = plan.sources[name]
    cells = [cell for cell in plan.cells if cell.values[0] == name]
    return GroupLine(
        **vars(_drawn(cells, range(len(plan.phases)), one.epochs)),
        phase=None,
        by=(_SOURCE,),
        values=(name,),
        requested_tokens=one.requested_tokens,
        requested_share=one.requested_share,
        share=one.share,
        cause=one.cause,
        shortfall=one.shortfall,
    )


def _group(plan: MixturePlan, number: int, phase: PhasePlan, group: GroupPlan) -> GroupLine:
    cells = [cell for cell in plan.cells if _inside(cell, plan, phase, group)]
    drawn = _drawn(cells, [number], group.epochs)
    cause, words = _cause(phase, group)
    return GroupLine(
        **{**vars(drawn), "available_tokens": group.available_tokens},
        phase=phase.name,
        by=group.by,
        values=group.values,
        requested_tokens=group.requested_tokens,
        requested_share=group.requested_share,
        share=group.share,
        cause=cause,
        shortfall=words,
    )


def _inside(cell: CellPlan, plan: MixturePlan, phase: PhasePlan, group: GroupPlan) -> bool:
    """Whether a cell belongs to a group; `*` stands for all that no group beside it names."""
    for depth, (column, value) in enumerate(zip(group.by, group.values, strict=True)):
        mine = cell.values[plan.columns.index(column)]
        named = _beside(phase, group.by[: depth + 1], group.values[:depth])
        if mine != value and (value != _OTHERS or mine in named):
            return False
    return True


def _beside(phase: PhasePlan, by: tuple[str, ...], around: tuple[str, ...]) -> set[str]:
    return {one.values[-1] for one in phase.groups if one.by == by and one.values[:-1] == around}


def _cause(phase: PhasePlan, group: GroupPlan) -> tuple[str | None, str | None]:
    """Why a group gives less than asked: of one that is divided, which of those within it do."""
    if not group.divided or group.tokens >= group.requested_tokens:
        return group.cause, group.shortfall
    depth = len(group.values)
    inside = [
        one
        for one in phase.groups
        if one.values[:depth] == group.values and one.cause and one.tokens < one.requested_tokens
    ]
    inside.sort(key=lambda one: one.tokens - one.requested_tokens)
    named = ", ".join(f"{one.name} ({one.cause})" for one in inside[:3])
    more = f" and {len(inside) - 3:,} more" if len(inside) > 3 else ""
    asked = f"{group.requested_tokens:,} tokens asked, {group.tokens:,} drawn"
    return inside[0].cause, f"{asked}: {named}{more}"


def _drawn(cells: Sequence[CellPlan], phases: Sequence[int], epochs: float | None) -> Drawn:
    """What phases draw of cells together; `epochs` of all phases of a whole plan are tokens by tokens."""
    available = sum(cell.available_tokens for cell in cells)
    documents = size = tokens = unique = 0
    for cell in cells:
        first = _first_copies(cell)
        for at, stretch in enumerate(cell.phases):
            if at not in phases:
                continue
            size, tokens = size + stretch.bytes, tokens + stretch.tokens
            unique += first[at + 1] - first[at]
            documents += stretch.documents - (at - 1 in phases and cell.goes_on(at))
    return Drawn(
        available_tokens=available,
        documents=documents,
        bytes=size,
        tokens=tokens,
        unique_tokens=unique,
        repeated_tokens=tokens - unique,
        bytes_per_token=size / tokens if tokens else None,
        epochs=tokens / available if epochs is None and available else epochs,
    )


def _first_copies(cell: CellPlan) -> list[int]:
    """Tokens of first copies that are taken before the first phase, the second, ... and at the end."""
    found, taken = [0], 0
    for stretch in cell.phases:
        taken += stretch.tokens
        still = stretch.end.epoch == 0
        found.append(max(found[-1], taken if still else min(taken, cell.available_tokens)))
    return found
