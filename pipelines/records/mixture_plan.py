"""The plan of a mixture, `plan.json`: how much of each cell is drawn in each phase, and where it ends.

A cell is the set of documents that are equal in all columns that the mixture names; without any, a source.

`mixture` writes it; `draw`, `pack`, reports and inspection read it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.codec import decode, encode

FILE = "plan.json"
MOST_PARTITIONS = 65_536  # of an exchange
_NAMED = 3  # groups of less than a token that are named


@dataclass(frozen=True)
class LastDocument:
    """The document that a part of an epoch ends in, and how many of its `of` tokens are taken: from its
    beginning, perhaps none. `draw` has 16 hex digits."""

    draw: str
    document: str
    unit: int
    row: int
    tokens: int
    of: int


@dataclass(frozen=True)
class Place:
    """A place in the line of a cell's copies: behind all copies of the epochs before `epoch`, behind those of
    this epoch whose documents lie in bins below `threshold` or, in that bin, before `last`, and behind the
    beginning of `last`."""

    epoch: int = 0
    threshold: int = 0
    last: LastDocument | None = None


@dataclass(frozen=True)
class Stretch:
    """What one phase takes of one cell: the line of its copies from where the phase before ended to `end`.

    tokens, documents and bytes are counted with copies; a document cut counts as one, its bytes in proportion
    to its tokens. `requested_tokens` is what the phase's groups ask of the cell, before any cap."""

    requested_tokens: int
    tokens: int
    documents: int
    bytes: int
    end: Place


@dataclass(frozen=True)
class CellPlan:
    """The documents whose columns have these `values` (of `MixturePlan.columns`, in that order), and what
    each phase takes of them. `wanted`: a phase gives them a share, so those held out are drawn, to be judged
    on."""

    values: tuple[str, ...]
    available_tokens: int
    available_documents: int
    available_bytes: int
    wanted: bool
    phases: tuple[Stretch, ...]

    def goes_on(self, at: int) -> bool:
        """Whether phase `at` begins with the rest of a copy that an earlier one ended in."""
        last = self.phases[at - 1].end.last if at else None
        return last is not None and last.tokens > 0 and self.phases[at].tokens > 0

    @property
    def documents(self) -> int:
        """Documents that all phases draw, with copies; one that phases divide counts once."""
        return sum(one.documents - self.goes_on(at) for at, one in enumerate(self.phases))


@dataclass(frozen=True)
class GroupPlan:
    """Requested against achieved of one group of one phase: a value of a column, within those before it.

    `by` and `values` are the way to it; `divided`: it has groups within. `requested_share` and `share` are of
    the phase's tokens, `epochs` = tokens / available tokens; None where there is nothing to divide by.
    `available_tokens`: of all its documents, whatever other phases take. `shortfall` says why tokens are
    fewer than requested, None where they are not; `cause` is one of `max_epochs`, `empty`, `absent` (no
    document has the value), `held_out` and `rounding`."""

    by: tuple[str, ...]
    values: tuple[str, ...]
    divided: bool
    requested_share: float
    requested_tokens: int
    available_tokens: int
    tokens: int
    share: float | None
    epochs: float | None
    cause: str | None
    shortfall: str | None

    @property
    def name(self) -> str:
        """How people are told of it: `web / en`."""
        return " / ".join(self.values)


@dataclass(frozen=True)
class Nearest:
    """The feasible request that is nearest to one that is not: the `tokens` that can be had, the YAML to
    write (`recipe`), and the largest budget for which the shares asked can be had (`tokens_as_asked`; None
    where no budget helps)."""

    tokens: int
    recipe: str
    tokens_as_asked: int | None


@dataclass(frozen=True)
class MissedShare:
    """A group that gives less than its share: how people are told of it, why (`GroupPlan.cause`), words, and
    its source, where the group is one. Groups of less than a token stand together."""

    name: str
    cause: str
    text: str
    source: str | None = None


@dataclass(frozen=True)
class PhasePlan:
    """One phase: tokens asked (None: all that there is) and drawn, and its groups, each before those within.

    `nearest`: None where every share is had; `sequence_length`: tokens of its rows, None as `pack` says."""

    name: str
    requested_tokens: int | None
    tokens: int
    documents: int
    bytes: int
    groups: tuple[GroupPlan, ...]
    nearest: Nearest | None
    sequence_length: int | None = None

    def missed(self) -> tuple[MissedShare, ...]:
        """The shares that are missed, in the order of the groups."""
        some = [one for one in self.groups if one.cause is not None and one.shortfall is not None]
        small = [one for one in some if one.cause == "rounding"]
        found = []
        for one in some:
            assert one.cause is not None
            assert one.shortfall is not None
            if len(small) < 2 or one.cause != "rounding":
                source = one.values[0] if one.by == ("source",) else None
                found.append(MissedShare(one.name, one.cause, one.shortfall, source))
            elif one is small[0]:
                found.append(MissedShare(_names(small), one.cause, self._of_small(small)))
        return tuple(found)

    def _of_small(self, small: Sequence[GroupPlan]) -> str:
        shares = [one.requested_share for one in small]
        low, high = f"{min(shares):.3g}", f"{max(shares):.3g}"
        return (
            f"their shares, {low if low == high else f'{low} to {high}'} of {self.requested_tokens or 0:,} "
            "tokens, are less than one token each, which other groups have, so none is drawn of these "
            f"{len(small):,}; raise their shares or `tokens`"
        )


def _names(groups: Sequence[GroupPlan]) -> str:
    more = len(groups) - _NAMED
    return ", ".join(one.name for one in groups[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class SourcePlan:
    """What is taken of one source, over all its cells and phases, counted with copies, one that phases divide
    once.

    `epochs` = tokens / available tokens, None where there are none; `share` is of the whole
    mixture, None where nothing is drawn of any source. `shortfall` and `cause` say why tokens are fewer than
    requested: those of the source as a group, or else which groups with its documents miss their shares.
    """

    available_tokens: int
    available_documents: int
    available_bytes: int
    requested_share: float
    requested_tokens: int
    tokens: int
    documents: int
    bytes: int
    share: float | None
    epochs: float | None
    shortfall: str | None
    cause: str | None


@dataclass(frozen=True)
class HeldOutOfSource:
    """What is held out of one source."""

    bytes: int
    documents: int
    tokens: int


@dataclass(frozen=True)
class HeldOutPlan:
    """What is drawn once to be judged on, of the sources that are trained on. `share` is the one asked."""

    bytes: int
    documents: int
    share: float
    sources: Mapping[str, HeldOutOfSource]
    tokens: int


@dataclass(frozen=True)
class MixturePlan:
    """The whole plan. `bins`: of the documents' draws; `columns`: what cells are told apart by, `source`
    first; `edges`: of columns of numbers, the bounds of their buckets; `named`: of a column, the values that
    are told apart, all where it is left out; `requested_tokens`: None where all that there is was asked for;
    tokens, documents and bytes are those drawn, with copies."""

    seed: int
    bins: int
    columns: tuple[str, ...]
    edges: Mapping[str, tuple[int | float, ...]]
    named: Mapping[str, tuple[str, ...]]
    requested_tokens: int | None
    tokens: int
    documents: int
    bytes: int
    max_epochs: float
    cells: tuple[CellPlan, ...]
    phases: tuple[PhasePlan, ...]
    sources: Mapping[str, SourcePlan]
    held_out: HeldOutPlan

    def partitions(self, shard_tokens: int) -> tuple[int, ...]:
        """Partitions of what is drawn, by phase: those of one phase follow those of the one before. Each has
        about `shard_tokens`, or more where there would be too many."""
        if len(self.phases) < 2:
            return (max(1, -(-self.tokens // shard_tokens)),)
        while True:
            counts = tuple(max(1, -(-phase.tokens // shard_tokens)) for phase in self.phases)
            if sum(counts) <= MOST_PARTITIONS:
                return counts
            shard_tokens *= 2

    def phase_of(self, partition: int, shard_tokens: int) -> int:
        """The number of the phase that a partition is of."""
        ends = list(accumulate(self.partitions(shard_tokens)))
        return min(bisect_right(ends, partition), len(ends) - 1)


def write_plan(path: Path, plan: MixturePlan) -> None:
    """Write the plan as indented JSON with sorted keys."""
    text = json.dumps(encode(plan), indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_plan(path: Path) -> MixturePlan:
    """The plan of such a file. Raises IntegrityError where it is not one."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise damaged(f"{path}: not valid JSON ({error})") from error
    return decode(MixturePlan, value, str(path))
