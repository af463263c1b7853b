"""The section `mixture`: how many tokens of each source are drawn, and the drawing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from corpusmill.mixtures.plan.cells import Cells, carried_columns
from corpusmill.mixtures.plan.checks import group_problems
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, MIXTURE
from corpusmill.pipelines.contract.stage import Fold, Map, Scatter, Stage
from corpusmill.pipelines.recipe.builder import Builder, View
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.json_schema import Node, Schema
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Placed, Reading, Section

if TYPE_CHECKING:
    from corpusmill.mixtures.mixture import Mixture as Plan

ROOM, SUMS = "mixtures", "mixture_sums"


class Mixture(Section):
    """The plan of a mixture and its drawing, for the section that packs what is drawn.

    That one asks with options, and without a `mixture` of the recipe's every token is taken once.
    """

    after: ClassVar[tuple[str, ...]] = ("encode",)
    needs: ClassVar[Mapping[str, str]] = {"tokenizer": "it counts tokens"}
    example: ClassVar[str] = "{tokens: 4M}"
    step_roots: ClassVar[tuple[str, ...]] = (SUMS, "mixture", "pack")
    gives: ClassVar[tuple[str, ...]] = (MIXTURE, DRAWN)

    plan: Fold
    sums: Fold | None = None
    draw: Scatter | None = None

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Groups name values that documents may have, and leave none of them open."""
        if isinstance(data, dict):
            yield from group_problems(data, recipe["sources"], (cls.name,))

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        if reading.data.get("pack") is None:
            message = "has no effect without `pack`; add `pack: {sequence_length: 1024}`"
            reading.problems.append(Problem((cls.name,), message))
        if isinstance(data, dict) and "views" in data:
            message = "follows from `pack: {fim: {each_epoch: true}}`; leave it out"
            reading.problems.append(Problem((cls.name, "views"), message))
        if isinstance(data, dict) and "held_out" in data:
            message = "belongs under `pack`, since what is held out is packed apart; move it there"
            reading.problems.append(Problem((cls.name, "held_out"), message))
        return cls._planned(data, reading)

    @classmethod
    def _planned(cls, data: Any, reading: Reading) -> Self | None:
        plan = stage(ROOM, "mixture", data, Fold, (cls.name,), reading.problems)
        sound = plan is not None
        for at, phase in enumerate(cast("Plan", plan).phases if plan is not None else ()):
            if phase.fim is not None:
                path = (cls.name, "phases", at)
                found = stage("tokenizer", "encode", {"fim": phase.fim}, Map, path, reading.problems)
                sound = sound and found is not None
        return cls(plan=plan) if sound else None

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        asked = reading.asked(cls.name)
        if not asked:
            return made
        if made is None and reading.data.get(cls.name) is None:
            made = cls._planned(None, reading)
        if made is None:
            return None
        path, problems = (cls.name,), reading.problems
        if "shard_tokens" not in asked:
            message = (
                "is asked for, but by no section for `shard_tokens`; add `pack: {sequence_length: 1024}`"
            )
            problems.append(Problem(path, message))
            return None
        for at, phase in enumerate(cast("Plan", made.plan).phases):
            if phase.sequence_length is not None and phase.sequence_length > asked["shard_tokens"]:
                message = (
                    f"a row of {phase.sequence_length:,} tokens is more than a shard has: most of it would "
                    f"be padding; set `pack: {{shard_tokens: {phase.sequence_length}}}` or more"
                )
                problems.append(Problem((*path, "phases", at, "sequence_length"), message))
        cells = made.cells()
        told_by = {"told_by": list(cells.names)}
        drawn = {name: asked[name] for name in ("shard_tokens", "views") if name in asked} | told_by
        del asked["shard_tokens"]
        summed = {
            **told_by,
            "edges": {one.name: list(one.edges) for one in cells.columns if one.edges is not None},
            "named": {one.name: sorted(one.named) for one in cells.columns if one.named is not None},
        }
        return made.model_copy(
            update={
                "plan": made.plan.model_copy(update=asked),
                "sums": stage(ROOM, SUMS, summed, Fold, path, problems),
                "draw": stage(ROOM, "draw", drawn, Scatter, path, problems),
            }
        )

    def cells(self) -> Cells:
        """How the plan tells documents apart."""
        return cast("Plan", self.plan).cells()

    def asks(self) -> Mapping[str, Mapping[str, Any]]:
        """How often a document may be taken, which may be encoded anew each time; and that documents keep the
        columns which tell them apart, when they are encoded."""
        plan = cast("Plan", self.plan)
        asked: dict[str, Any] = {"epochs": plan.most_copies()}
        if any(phase.fim is not None for phase in plan.phases):
            asked["phases"] = [phase.fim for phase in plan.phases]
        if carried := carried_columns(self.cells()):
            asked["carried"] = carried
        return {"encode": asked}

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        return schema.section_of(find(ROOM, "mixture"))

    def stages(self) -> list[Placed]:
        found: list[tuple[tuple[str | int, ...] | None, Stage | None]] = [
            (None, self.sums),
            ((self.name,), self.plan),
            (None, self.draw),
        ]
        return [(path, one) for path, one in found if one is not None]

    def graph(self, builder: Builder) -> None:
        """The sums of tokens by source, the plan made from them, and the documents it draws, shuffled."""
        assert self.sums is not None
        assert self.draw is not None
        encoded = View((builder.need(ENCODED),))
        sums = builder.fold(SUMS, self.sums, encoded)
        plan = builder.fold(self.name, self.plan, encoded, needs={SUMS: sums}, gives=MIXTURE)
        builder.scatter("pack.scatter", self.draw, encoded, needs={"mixture": plan}, gives=DRAWN)


SECTION = Mixture
