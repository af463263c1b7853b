"""The phases of a mixture as its options say them: groups, budgets, and the cells that they tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from corpusmill.mixtures.plan.cells import OTHERS, SOURCE, Cells, Number
from corpusmill.mixtures.plan.division import divided
from corpusmill.mixtures.plan.groups import Group

Only = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Phase:
    """A phase: its groups, the tokens asked for it (a count, a `Fraction` of all, None: what is left of all,
    or all there is), and by column the values it is drawn from (none: everything)."""

    name: str
    group: Group
    tokens: int | Fraction | None = None
    only: Only | None = None
    sequence_length: int | None = None

    def takes(self, columns: Sequence[str], values: Sequence[str]) -> bool:
        """Whether it draws from the cell of these values."""
        given = dict(zip(columns, values, strict=True))
        return all(given[column] in chosen for column, chosen in (self.only or {}).items())


def cells_of(phases: Sequence[Phase], edges: Mapping[str, Sequence[Number]]) -> Cells:
    """How the phases tell documents apart: by source, and by every column that one of them names."""
    groups = [group for phase in phases for group in phase.group.every()]
    chosen = [item for phase in phases for item in (phase.only or {}).items()]
    columns = {group.by for group in groups} | {column for column, _ in chosen}
    named: dict[str, set[str]] = {}
    for column in columns - {SOURCE}:
        mine = [group.named for group in groups if group.by == column]
        if all(names is not None for names in mine):
            own = {value for names in mine for value in names or ()}
            named[column] = own - {OTHERS} | {v for c, values in chosen if c == column for v in values}
    return Cells.of((SOURCE, *sorted(columns - {SOURCE})), edges, named)


def budgets(phases: Sequence[Phase], total: int | None, natural: int) -> list[int]:
    """Tokens of each phase. `total`: of all, None where that is what the phases say, or `natural`, all that
    there is. Shares of the total are rounded so that they add up to it."""
    counts = [phase.tokens if isinstance(phase.tokens, int) else 0 for phase in phases]
    rest = [at for at, phase in enumerate(phases) if phase.tokens is None]
    shares = [at for at, phase in enumerate(phases) if isinstance(phase.tokens, Fraction)]
    whole = total
    if whole is None:
        whole = natural if rest or shares else sum(counts)
    given = dict(enumerate(counts))
    parts = {str(at): Fraction(phases[at].tokens or 0) for at in shares}
    left = max(0, whole - sum(counts))
    asked = sum(parts.values())
    if rest:
        parts["rest"] = max(Fraction(0), Fraction(left, whole or 1) - asked)
    if parts:
        tokens = min(left, round(whole * sum(parts.values())))
        for key, count in divided(tokens, parts).items():
            given[rest[0] if key == "rest" else int(key)] = count
    return [given[at] for at in range(len(phases))]


def problems(phases: Sequence[Phase], total: int | None) -> Iterator[tuple[int, str]]:
    """What is wrong with the budgets of phases: the number of the phase, and words."""
    rest = [at for at, phase in enumerate(phases) if phase.tokens is None]
    if len(rest) > 1:
        yield rest[1], "only one phase may leave out `tokens`, and takes what the others leave; give it some"
    counts = sum(phase.tokens for phase in phases if isinstance(phase.tokens, int))
    share = sum((phase.tokens for phase in phases if isinstance(phase.tokens, Fraction)), Fraction(0))
    last = len(phases) - 1
    if total is None:
        if share and counts:
            yield last, "gives a share where another phase gives a number; add `tokens` to the mixture"
        elif counts and rest:
            yield (
                rest[0],
                "leaves out `tokens`, but the mixture has none to leave; add `tokens` to one of them",
            )
    asked = Fraction(counts, total or 1) * (total is not None) + share
    if rest and asked >= 1:
        yield (
            rest[0],
            f"the other phases take all tokens ({float(asked):.4g} of them); nothing is left for it",
        )
    elif not rest and (total is not None or share) and abs(asked - 1) > Fraction(1, 10**6):
        yield last, f"the phases take {float(asked):.6g} of all tokens, not 1; correct their `tokens`"
