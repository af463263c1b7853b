"""The tree of groups over the cells there are, and the whole tokens that each group and cell is asked for.

Every node shares what it is asked for among its children by largest remainders, so the leaves add up to the
budget. A leaf holds cells that the mixture does not tell apart there; they give in proportion to what they
have, so all their documents come equally often. What a cell gives ends at its cap, and nobody fills the gap.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from corpusmill.mixtures.plan.cells import OTHERS, SOURCE, Values
from corpusmill.mixtures.plan.division import Share, below_caps, divided, unimax
from corpusmill.mixtures.plan.groups import Group, Policy
from corpusmill.pipelines.contract.errors import UserError


class Line(Protocol):
    """The line of a cell's copies, which earlier phases have begun to take."""

    taken: list[int]

    def room(self, max_epochs: float) -> int:
        """Tokens that a cap allows besides those taken already."""
        ...


@dataclass(frozen=True)
class Stock:
    """What there is of one cell: tokens and documents, and the line of its copies."""

    tokens: int
    documents: int
    line: Line


@dataclass
class Node:
    """A value of a column within those before it. `group` divides it, None of a leaf; `share` is of what the
    parent is asked for, found by `way`; `max_epochs` limits its cells; `cells` are those in it; `at`: the
    number of its column; `asked_for`: the recipe gives it, and all around it, a share that is not 0. Once it
    is asked: tokens `requested`, `whole_share` of the whole that is asked of it, and tokens of its cells,
    with copies, `used` by earlier phases."""

    by: tuple[str, ...]
    values: Values
    group: Group | None
    max_epochs: float
    cells: dict[Values, Stock]
    share: Share = 1
    at: int = 0
    asked_for: bool = True
    way: Policy = "weights"
    whole_share: float = 1.0
    children: list[Node] = field(default_factory=list)
    requested: int = 0
    used: int = 0

    @property
    def available(self) -> int:
        """Tokens of its cells."""
        return sum(stock.tokens for stock in self.cells.values())

    @property
    def most(self) -> int:
        """Tokens that its caps allow."""
        if self.children:
            return sum(child.most for child in self.children if child.share > 0)
        return sum(stock.line.room(self.max_epochs) for stock in self.cells.values())

    @property
    def natural(self) -> int:
        """The tokens it has by itself: all that it draws from, each of `epochs` as often as these say."""
        if not self.children:
            return self.available
        counts = {child.values[-1]: child.natural for child in self.children if child.share > 0}
        epochs = self.group.epochs if self.group is not None and self.group.epochs is not None else {}
        return int(sum(Fraction(epochs.get(value, 1)) * count for value, count in counts.items()))

    def leaves(self) -> Iterator[Node]:
        """Those that nothing divides, in order."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def every(self) -> Iterator[Node]:
        """All below it, each before those within."""
        for child in self.children:
            yield child
            yield from child.every()

    def ask(self, tokens: int) -> None:
        """Ask it for so many tokens, and those within it for their shares."""
        self.requested = tokens
        self.used = sum(sum(stock.line.taken) for stock in self.cells.values())
        shares = {child.values[-1]: child.share for child in self.children}
        if self.group is not None and self.group.way == "unimax":  # shares follow from the caps
            asked = unimax(
                tokens, {child.values[-1]: child.most for child in self.children if child.share > 0}
            )
            shares = {name: asked.get(name, 0) for name in shares} if tokens else shares
        else:
            asked = divided(tokens, shares)
        total = sum(Fraction(share) for share in shares.values()) or 1
        for child in self.children:
            name = child.values[-1]
            child.whole_share = self.whole_share * float(Fraction(shares[name]) / total)
            child.ask(asked.get(name, 0))

    def given(self) -> dict[Values, tuple[int, int]]:
        """What each cell is asked for and gives, by its values: of a leaf."""
        keys = {"\0".join(cell): cell for cell in sorted(self.cells)}
        tokens = {key: self.cells[cell].tokens for key, cell in keys.items()}
        asked = divided(self.requested, tokens)
        if not any(tokens.values()) and asked:
            asked[next(iter(asked))] = self.requested  # of cells without a token
        caps = {key: self.cells[cell].line.room(self.max_epochs) for key, cell in keys.items()}
        taken = below_caps(self.requested, tokens, caps)
        return {cell: (asked[key], taken[key]) for key, cell in keys.items()}


def tree(
    group: Group,
    columns: Sequence[str],
    stocks: Mapping[Values, Stock],
    max_epochs: float,
    chosen: Collection[Values],
) -> Node:
    """The tree of `group` over the cells of `stocks`, whose values are of `columns`. Values of which no cell
    is `chosen` have no share, so the others' grow. Raises UserError for a value that has no weight."""
    root = Node((), (), group, max_epochs, dict(stocks))
    _grow(root, group, columns, chosen)
    return root


def _grow(node: Node, group: Group, columns: Sequence[str], chosen: Collection[Values]) -> None:
    limit = node.max_epochs if group.max_epochs is None else group.max_epochs
    at, named = columns.index(group.by), group.named
    found: dict[str, dict[Values, Stock]] = {value: {} for value in named or ()}
    for cell, stock in node.cells.items():
        value = cell[at]
        if named is not None and value not in found:
            if OTHERS not in found:
                raise UserError(_unweighted(group, value))
            value = OTHERS
        found.setdefault(value, {})[cell] = stock
    some = {
        value: {cell: one for cell, one in cells.items() if cell in chosen} for value, cells in found.items()
    }
    left_out = {value for value, cells in found.items() if cells and not some[value]}
    available = {value: sum(one.tokens for one in cells.values()) for value, cells in some.items()}
    shares = _shares(group, available) | dict.fromkeys(left_out, 0)
    node.group, node.max_epochs = group, limit
    for value in sorted(found):
        own = group.within.get(value, group.within.get(OTHERS) if named is None else None)
        way = (*node.by, group.by), (*node.values, value)
        child = Node(*way, own, limit, some[value], shares[value], at, way=group.way)
        child.asked_for = node.asked_for and _asked_for(group, value) and value not in left_out
        if own is not None:
            _grow(child, own, columns, chosen)
        if not any(one.share > 0 for one in child.children):
            child.children = []
        node.children.append(child)


def _asked_for(group: Group, value: str) -> bool:
    numbers = group.weights if group.weights is not None else group.epochs
    return numbers is None or numbers[value] > 0


def _unweighted(group: Group, value: str) -> str:
    what = "weight" if group.weights is not None else "epochs"
    if value == OTHERS:
        named = ", ".join(group.named or ())
        return f'values of {group.by} other than {named} have no {what}; give one to "{OTHERS}", or 0'
    cure = "" if group.by == SOURCE else f', or one to "{OTHERS}", all others'
    return f"{group.by} {value} has no {what} in the mixture; give it one (0 leaves it out){cure}"


def _shares(group: Group, available: Mapping[str, int]) -> dict[str, Share]:
    """Share of each value; 0 leaves one out."""
    if group.weights is not None:
        total = math.fsum(group.weights.values())
        return {value: weight / total for value, weight in group.weights.items()}
    if group.epochs is not None:
        epochs = {value: Fraction(group.epochs[value]) for value in available}
        counts = {value: count * epochs[value] for value, count in available.items()}
        whole = sum(counts.values()) or 1
        # Where there is nothing the epochs tell whether it is asked for.
        return {value: count / whole for value, count in counts.items()}
    if group.way == "unimax":
        return dict.fromkeys(available, Fraction(1, max(1, len(available))))
    powers = {value: count ** (1 / group.temperature) for value, count in available.items()}
    scale = math.fsum(powers.values()) or 1.0
    return {value: power / scale for value, power in powers.items()}
