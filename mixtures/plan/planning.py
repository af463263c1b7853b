"""From sums of tokens by cell to what every phase takes of every cell, and the words of what is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from corpusmill.mixtures.plan.cells import Cells, Values
from corpusmill.mixtures.plan.groups import Group
from corpusmill.mixtures.plan.histogram import CellSums
from corpusmill.mixtures.plan.line import Views, Walk
from corpusmill.mixtures.plan.nearest import nearest
from corpusmill.mixtures.plan.phases import Phase, budgets
from corpusmill.mixtures.plan.shortfalls import shortfall
from corpusmill.mixtures.plan.tree import Node, Stock, tree
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.mixture_plan import GroupPlan, Nearest

EpochsOf = Callable[[Iterable[Values]], float | None]


@dataclass(frozen=True)
class Planned:
    """What the phases ask for and get: a tree of groups each, which says what was asked, by phase and cell
    the tokens asked and taken, and the walk along the line of each cell."""

    cells: Cells
    phases: tuple[Phase, ...]
    roots: tuple[Node, ...]
    budgets: tuple[int, ...]
    given: tuple[Mapping[Values, tuple[int, int]], ...]
    walks: Mapping[Values, Walk]
    nearest: tuple[Nearest | None, ...]


def planned(
    cells: Cells,
    phases: Sequence[Phase],
    sums: Mapping[Values, CellSums],
    total: int | None,
    max_epochs: float,
    views: Views,
) -> Planned:
    """What each phase takes, one after the other. `sums`: of what is not held out; `total`: tokens of all
    phases, None for all that there is. Raises UserError where there are no tokens, or a value has no
    weight."""
    present = {cell: one.totals[0] for cell, one in sums.items()}
    walks = {cell: Walk(one, views) for cell, one in sorted(sums.items())}
    stocks = {cell: Stock(*sums[cell].totals[:2], walk) for cell, walk in walks.items()}

    def grown(phase: Phase, group: Group) -> Node:
        chosen = {cell for cell in stocks if phase.takes(cells.names, cell)}
        return tree(group, cells.names, stocks, max_epochs, chosen)

    natural = grown(phases[0], phases[0].group).natural if len(phases) == 1 else sum(present.values())
    asked = budgets(phases, total, natural)
    roots, given, instead = [], [], []
    for phase, budget in zip(phases, asked, strict=True):
        root = grown(phase, phase.group)
        if not any(leaf.available for leaf in root.leaves() if leaf.share > 0):
            where = f"phase {phase.name} of the mixture" if len(phases) > 1 else "the mixture"
            why = "every source is empty after its steps"
            if phase.only:
                why = "no document that is left has a value of its `only` and a share"
            raise UserError(f"{where} has no tokens: {why}")
        root.ask(budget)
        took = dict.fromkeys(present, (0, 0))
        for leaf in root.leaves():
            took |= leaf.given()

        def again(group: Group, phase: Phase = phase) -> Node:
            return grown(phase, group)

        instead.append(nearest(root, again, budget))
        roots.append(root)
        given.append(took)
        for cell, (_, taken) in took.items():
            walks[cell].take(taken)
    return Planned(
        cells=cells,
        phases=tuple(phases),
        roots=tuple(roots),
        budgets=tuple(asked),
        given=tuple(given),
        walks=walks,
        nearest=tuple(instead),
    )


def group_plans(
    root: Node,
    given: Mapping[Values, tuple[int, int]],
    held: Mapping[Values, int],
    epochs_of: EpochsOf,
    cells: Cells,
) -> list[GroupPlan]:
    """The groups of a phase, each before those within. `held`: documents held out, by cell; `epochs_of`: the
    epochs that the phase takes of some cells."""
    drawn = sum(taken for _, taken in given.values())
    buckets = [column.name for column in cells.columns if column.edges is not None]
    found = []
    for node in root.every():
        tokens = sum(given[cell][1] for cell in node.cells)
        missed = (None, None) if node.children else shortfall(node, tokens, root, held, buckets)
        found.append(_group_plan(node, tokens, drawn, epochs_of, *missed))
    return found


def _group_plan(
    node: Node, tokens: int, drawn: int, epochs_of: EpochsOf, cause: str | None, words: str | None
) -> GroupPlan:
    return GroupPlan(
        by=node.by,
        values=node.values,
        divided=bool(node.children),
        requested_share=node.whole_share,
        requested_tokens=node.requested,
        available_tokens=node.available,
        tokens=tokens,
        share=tokens / drawn if drawn else None,
        epochs=epochs_of(node.cells),
        cause=cause,
        shortfall=words,
    )
