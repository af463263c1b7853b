"""Why a group gives less than its share, in a word (`GroupPlan.cause`) and in a sentence with the cure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from corpusmill.mixtures.plan.cells import OTHERS, SOURCE, Values
from corpusmill.mixtures.plan.tree import Node
from corpusmill.pipelines.records.mixture_plan import Nearest, PhasePlan

_LISTED = 6  # values of a column that a message names
_KNOBS = {"weights": "its weight", "epochs": "its epochs"}  # what a recipe says of a value, by policy

Missed = tuple[str | None, str | None]


def shortfall(
    node: Node, tokens: int, root: Node, held: Mapping[Values, int], buckets: Collection[str] = ()
) -> Missed:
    """Cause and words of a share that a leaf misses; None of one that it gets. `tokens`: what it gives;
    `buckets`: columns of numbers, whose values are all named and miss nothing where nothing is asked."""
    requested, available = node.requested, node.available
    what = "source" if node.by == (SOURCE,) else "group"
    if node.share == 0 and node.by[-1] in buckets:
        return None, None
    if not node.cells and node.by[-1] != SOURCE and node.asked_for:
        return _absent(node, root)
    if requested == 0 and node.asked_for and root.requested:
        if node.share == 0:  # shares follow from the tokens there are
            return "empty", f"no tokens asked, none drawn: the {what} has no tokens, nothing is left of it"
        return "rounding", (
            f"its share, {node.whole_share:.3g} of {root.requested:,} tokens, is less than one token, which "
            f"another {what} has, so none is drawn; raise {_or(node, '`tokens`')}"
        )
    if requested <= tokens:
        return None, None
    asked = f"{requested:,} tokens asked, {tokens:,} drawn"
    if available:
        before = f", of which earlier phases take {node.used:,}" if node.used else ""
        lower = _KNOBS.get(node.way, "`tokens`")
        return "max_epochs", (
            f"{asked}: max_epochs {node.max_epochs:g} allows no more of the {available:,} tokens there are"
            f"{before} ({(node.used + requested) / available:.2f} epochs are asked); lower {lower} or "
            "raise max_epochs"
        )
    leave = f"set {_KNOBS[node.way]} to 0" if node.way in _KNOBS else "leave it out"
    count = sum(held.get(cell, 0) for cell in node.cells)
    documents = sum(stock.documents for stock in node.cells.values())
    if count and not documents:
        there = "its only document is" if count == 1 else f"all its {count:,} documents are"
        return "held_out", f"{asked}: {there} held out; lower {_or(node, '`held_out` under `pack`')}"
    if documents:
        return "empty", f"{asked}: the {documents:,} documents of the {what} have no tokens; {leave}"
    return "empty", f"{asked}: the {what} has no tokens, nothing is left of it; {leave}"


def _absent(node: Node, root: Node) -> Missed:
    around = (one for one in root.every() if (one.by, one.values) == (node.by[:-1], node.values[:-1]))
    found = {cell[node.at] for cell in next(around, root).cells}
    values = sorted(found - {OTHERS})
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    more += " and others, which the recipe does not name" if OTHERS in found else ""
    there = f"there are: {', '.join(values[:_LISTED])}{more}" if values else "only others are there"
    return "absent", (
        f"{node.requested:,} tokens asked, none drawn: no document has the value {node.values[-1]} of "
        f"{node.by[-1]}{' here' if len(node.by) > 1 else ''}; {there}; correct the value, or set it to 0"
    )


def _or(node: Node, other: str) -> str:
    return f"{_KNOBS[node.way]} or {other}" if node.way in _KNOBS else other


def of_a_source(source: str, plan: PhasePlan, root: Node) -> tuple[tuple[int, str, str], ...]:
    """Tokens missed, cause and name of the groups of one phase with documents of a source, most first."""
    found = []
    for node, group in zip(root.every(), plan.groups, strict=True):
        inside = any(cell[0] == source for cell in node.cells)
        inside |= dict(zip(node.by, node.values, strict=True)).get(SOURCE) == source
        if group.cause is not None and inside and group.requested_tokens > group.tokens:
            found.append((group.requested_tokens - group.tokens, group.cause, group.name))
    return tuple(sorted(found, key=lambda one: (-one[0], one[2])))


def failure(phases: Sequence[PhasePlan]) -> str:
    """The words of all shares that are missed, with what can be had instead; empty where none is."""
    missed = []
    for phase in phases:
        where = f"phase {phase.name}: " if phase.name else ""
        missed += [f"{where}{one.name}: {one.text}" for one in phase.missed()]
        missed += [f"{where}{words}" for words in instead(phase.nearest)]
    return "mixture: " + "; ".join(missed) if missed else ""


def instead(found: Nearest | None) -> list[str]:
    """What to write instead of a mixture that cannot be had."""
    if found is None:
        return []
    words = [f"nearest mixture: {found.recipe}"] if found.recipe else []
    if found.tokens_as_asked is not None:
        words.append(f"with the shares as they are: tokens: {found.tokens_as_asked}")
    return words
