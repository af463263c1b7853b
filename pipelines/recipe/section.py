"""A section of recipes: one class in one file, its keys, checks, stages and piece of the graph.

A section named `x` is the value `SECTION` in `<room>/sections/x.py`, or in a plugin: a class derived from
`Section`. Nothing else has to know of it: where it stands among the others, what it needs and what its steps
give are its own words.

A recipe is read in three rounds, each in the order of sections. `check` sees plain data and what names in it
mean; `read` makes the section from its entry; `beside` completes it from what others ask of it. What is wrong
is added to the problems of the `Reading`, so that all of it is told at once. Then `graph` adds its steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.stage import Stage, snake_case
from corpusmill.pipelines.recipe.messages import Path, Problem

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.builder import Builder
    from corpusmill.pipelines.recipe.json_schema import Node, Schema
    from corpusmill.pipelines.recipe.models import Source

Placed = tuple[Path | None, Stage]


@dataclass(frozen=True)
class Cut:
    """What an estimate runs of a section on a cut of its input, and how the whole follows from it.

    `section`: None leaves it out. `rounds`: for a step whose work is rounds of equal cost, how many the whole
    has; what it writes is as large after one. `alike`: for a step that is left out, the one it costs as much
    as (for one with `rounds`, as much a round). `most_bytes`: bytes of documents read that a step's work
    grows to, by the first part of its name.
    """

    section: Section | None
    rounds: Mapping[str, float] = field(default_factory=dict)
    alike: Mapping[str, str] = field(default_factory=dict)
    most_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Reading:
    """A recipe while it is read. `data`: all of it as plain data; `sections`: what could be made so far."""

    data: Mapping[str, Any]
    problems: list[Problem]
    sections: dict[str, Section] = field(default_factory=dict)

    def asked(self, section: str) -> dict[str, Any]:
        """What the sections made so far ask of one. Raises RecipeError where two ask the same thing."""
        found: dict[str, Any] = {}
        asked_by: dict[str, str] = {}
        for other in self.sections.values():
            asks = other.asks().get(section, {})
            if twice := sorted(found.keys() & asks.keys()):
                first, second = sorted((asked_by[twice[0]], other.name))
                raise RecipeError(
                    f"the sections {first} and {second} both ask {section} for {twice[0]}; "
                    "leave one of the two out"
                )
            found |= asks
            asked_by |= dict.fromkeys(asks, other.name)
        return found

    def stage_of(self, section: str, kind: type[Stage]) -> Any:
        """The first stage of a kind in a section, a `kind`; None where there is none, or it is at fault."""
        made = self.sections.get(section)
        stages = made.stages() if made is not None else ()
        return next((stage for _, stage in stages if isinstance(stage, kind)), None)


class Section(BaseModel, ABC):
    """Base of all sections: a frozen value.

    Its fields are its keys, each described in one line, unless it has a form of its own and overrides `read`
    and `describe`. What all sections say of themselves:

    - `after`, `before`: sections whose steps come before and after its own, where the recipe has them; names
      decide the rest.
    - `needs`: sections without which it cannot be, and why.
    - `example`: a short value that is right, which messages show as a cure.
    - `step_roots`: what the names of its steps begin with, up to the first dot; no source may be called so.
    - `gives`: words of what its steps give (`contract.given`).
    - `implied`: it has no key, and stands where `beside` makes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: ClassVar[str] = ""
    after: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[str] = "{}"
    step_roots: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()
    implied: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)
        if "step_roots" not in cls.__dict__:
            cls.step_roots = (cls.name,)

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Problems with what `data`, its entry as plain data, says of the rest of the `recipe`.

        Asked where the recipe has it and sources. What has not even the right shape is left to `read`.
        """
        return iter(())

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        """The section from its entry; None when problems were added."""
        from corpusmill.pipelines.recipe.options import build

        return build(cls, data, (cls.name,), reading.problems, "key")

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        """The section beside the others, which all are read: `made`, completed by what they ask of it.

        `made` is None where the recipe leaves it out or problems were added.
        """
        return made

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """The JSON Schema of its entry."""
        return schema.section(cls)

    def asks(self) -> Mapping[str, Mapping[str, Any]]:
        """What it asks of other sections, by their names: options that follow from its own."""
        return {}

    @abstractmethod
    def stages(self) -> Sequence[Placed]:
        """Every stage in the order of the graph, with the path of its options in the recipe; None where they
        follow from others."""

    def sources(self) -> Sequence[tuple[Path, Source]]:
        """What it reads beside the recipe's sources, each with its path in the recipe."""
        return ()

    def input_problems(self, found: Sequence[Problem]) -> Iterator[Problem]:
        """What is wrong with what lies outside the recipe, besides what is `found` of the files it names."""
        return iter(())

    def cut(self, rounds: int) -> Cut:
        """What an estimate runs of it, with so many rounds of what it does in rounds."""
        return Cut(self)

    @abstractmethod
    def graph(self, builder: Builder) -> None:
        """Add its steps."""
