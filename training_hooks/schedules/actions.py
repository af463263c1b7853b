"""What the ranks of a pipeline do, as data: passes of micro-batches through stages.

A model is cut into stages 0..S-1. A micro-batch (a chunk) passes them in order forward and in reverse order
backward. Backward has two parts: the gradient of a stage's input, which the stage before waits for, and that
of its weights, which nobody waits for before the end of the step. A rank has one stage a direction: with
1F1B and ZB1P there is one direction, DualPipe feeds chunks from both ends, and DualPipeV lets each chunk go
down the ranks and up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Pass:
    """One chunk through the stage that its rank has for `direction`. Chunks are numbered through a step."""

    SYMBOL: ClassVar[str]
    direction: int
    chunk: int

    def __str__(self) -> str:
        return f"{self.SYMBOL}{self.direction}.{self.chunk}"


class Forward(Pass):
    """A forward pass."""

    __slots__ = ()
    SYMBOL = "F"


class Backward(Pass):
    """Both parts of a backward pass at once."""

    __slots__ = ()
    SYMBOL = "B"


class InputGradient(Pass):
    """The part of a backward pass that the stage before waits for."""

    __slots__ = ()
    SYMBOL = "I"


class WeightGradient(Pass):
    """The part of a backward pass that can wait."""

    __slots__ = ()
    SYMBOL = "W"


@dataclass(frozen=True, slots=True)
class Overlapped:
    """A forward and a backward pass of two chunks, run side by side: one computes while the other's tokens
    travel between experts."""

    forward: Forward
    backward: Backward

    def __str__(self) -> str:
        return f"{self.forward}&{self.backward}"


Action = Forward | Backward | InputGradient | WeightGradient | Overlapped


class Result(NamedTuple):
    """What a pass leaves for others: the `activation` that stage `stage` gives for a chunk, or the `gradient`
    of what that stage took."""

    kind: Literal["activation", "gradient"]
    stage: int
    chunk: int

    def __str__(self) -> str:
        return f"{self.kind} of chunk {self.chunk} from stage {self.stage}"


class Place(NamedTuple):
    """Where a stage is: a rank, and the direction that the rank has it for."""

    rank: int
    direction: int


@dataclass(frozen=True)
class Schedule:
    """The actions of every rank in a step of `chunks` micro-batches.

    `routes`: the places of stages 0..S-1, one tuple for each stream of chunks. The streams share the chunks
    equally, in order: with two routes the first half of the chunks takes the first.
    """

    name: str
    chunks: int
    routes: tuple[tuple[Place, ...], ...]
    actions: tuple[tuple[Action, ...], ...]

    @property
    def ranks(self) -> int:
        return len(self.actions)

    @property
    def stages(self) -> int:
        return len(self.routes[0])

    @property
    def directions(self) -> tuple[int, ...]:
        return tuple(sorted({place.direction for place in self.stage_of}))

    @cached_property
    def stage_of(self) -> dict[Place, int]:
        """The stage at every place."""
        return {place: stage for route in self.routes for stage, place in enumerate(route)}

    def route(self, chunk: int) -> tuple[Place, ...]:
        """The places that a chunk passes, from the first stage to the last."""
        return self.routes[chunk * len(self.routes) // self.chunks]

    def made(self, rank: int, action: Action) -> tuple[Result, ...]:
        """What others may wait for that `action` leaves at its end."""
        if isinstance(action, Overlapped):
            return (*self.made(rank, action.forward), *self.made(rank, action.backward))
        if isinstance(action, WeightGradient):
            return ()
        kind: Literal["activation", "gradient"] = "activation" if isinstance(action, Forward) else "gradient"
        return (Result(kind, self.stage_of[Place(rank, action.direction)], action.chunk),)

    def needs(self, rank: int, action: Action) -> tuple[Result, ...]:
        """What must be there before `action` may begin, its own rank's earlier passes included."""
        if isinstance(action, Overlapped):
            return (*self.needs(rank, action.forward), *self.needs(rank, action.backward))
        stage, chunk = self.stage_of[Place(rank, action.direction)], action.chunk
        if isinstance(action, Forward):
            return (Result("activation", stage - 1, chunk),) if stage else ()
        if isinstance(action, WeightGradient):
            return (Result("gradient", stage, chunk),)
        own = Result("activation", stage, chunk)
        return (own,) if stage == self.stages - 1 else (own, Result("gradient", stage + 1, chunk))

    @cached_property
    def results(self) -> tuple[tuple[tuple[tuple[Result, ...], tuple[Result, ...]], ...], ...]:
        """What every action of every rank needs, and what it makes: `results[rank][number]` is (needs, made).
        Computed once, with one object for each result."""
        known: dict[Result, Result] = {}

        def once(results: tuple[Result, ...]) -> tuple[Result, ...]:
            return tuple([known.setdefault(result, result) for result in results])

        return tuple(
            tuple([(once(self.needs(rank, action)), once(self.made(rank, action))) for action in actions])
            for rank, actions in enumerate(self.actions)
        )

    def maker(self, result: Result) -> int:
        """The rank that makes a result."""
        return self.route(result.chunk)[result.stage].rank

    def user(self, result: Result) -> int | None:
        """The rank that a result is meant for: that of the next stage, or of the stage before for a gradient;
        None where there is none."""
        stage = result.stage + (1 if result.kind == "activation" else -1)
        return self.route(result.chunk)[stage].rank if 0 <= stage < self.stages else None
