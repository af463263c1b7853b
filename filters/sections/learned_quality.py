"""The section `learned_quality`: examples, the classifier trained on them, and the filter that asks it.

Options of all three stages stand beside `positives` and `negatives`, which say what the examples are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.given import CLASSIFIER
from corpusmill.pipelines.contract.stage import Filter, Fold, Task
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import mapping, stage, unknown_keys
from corpusmill.pipelines.recipe.example_sources import (
    SOURCES,
    Examples,
    described_entry,
    examples_entry,
    listed,
)
from corpusmill.pipelines.recipe.json_schema import Node, Schema, summary
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Source
from corpusmill.pipelines.recipe.names import mapping_or_empty, unknown_name
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Placed, Reading, Section

ROOM = "filters"
EXAMPLES, TRAINER, JUDGE = "quality_examples", "train_quality", "learned_quality"
SIDES = ("positives", "negatives")
FROM = "from_sources"


class LearnedQuality(Section):
    """Train a classifier on good and other texts, and keep the documents that it takes for good ones."""

    after: ClassVar[tuple[str, ...]] = ("dedup", "decontaminate")
    before: ClassVar[tuple[str, ...]] = ("held_out", "tokenizer", "encode")
    gives: ClassVar[tuple[str, ...]] = (CLASSIFIER,)
    example: ClassVar[str] = "{positives: good/*.jsonl.zst, negatives: {sources: [web]}}"
    step_roots: ClassVar[tuple[str, ...]] = (*SIDES, EXAMPLES, TRAINER, JUDGE)

    sides: Mapping[str, Examples]
    choosers: Mapping[str, Fold]
    trainer: Task
    judge: Filter

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Sources that are examples are sources of the recipe, and on one side only."""
        named: dict[Any, str] = {}
        for side in SIDES:
            for at, name in enumerate(listed(mapping_or_empty(data).get(side))):
                place: Path = (cls.name, side, SOURCES, at)
                if name not in recipe["sources"]:
                    yield Problem(place, unknown_name("source", name, recipe["sources"]))
                elif named.setdefault(name, side) != side:
                    yield Problem(place, f"{name!r} is among the {named[name]} already; keep it on one side")

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        path, problems = (cls.name,), reading.problems
        section = mapping(data, path, problems, cls.example)
        if section is None:
            return None
        options = {
            name: [key for key in find(ROOM, name).model_fields if key != FROM]
            for name in (JUDGE, EXAMPLES, TRAINER)
        }
        unknown_keys(section, (*SIDES, *(key for keys in options.values() for key in keys)), path, problems)
        given = {
            name: {key: section[key] for key in keys if key in section} for name, keys in options.items()
        }
        sides = {side: examples_entry(cls.name, section.get(side), side, side, problems) for side in SIDES}
        trainer = stage(ROOM, TRAINER, given[TRAINER], Task, path, problems)
        judge = stage(ROOM, JUDGE, given[JUDGE], Filter, path, problems)
        chooser = stage(ROOM, EXAMPLES, given[EXAMPLES], Fold, path, problems)
        found = {side: examples for side, examples in sides.items() if examples is not None}
        if trainer is None or judge is None or chooser is None or len(found) < len(SIDES):
            return None
        choosers = {
            side: chooser.model_copy(update={FROM: None if names is None else tuple(names)})
            for side, (names, _) in found.items()
        }
        return cls(sides=found, choosers=choosers, trainer=trainer, judge=judge)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """Options of three stages, and the two sides, in one mapping."""
        sides = {
            side: described_entry(schema, f"{word} examples")
            for side, word in zip(SIDES, ("Positive", "Negative"), strict=True)
        }
        judge = find(ROOM, JUDGE)
        properties = dict(sides)
        for kind in (judge, find(ROOM, EXAMPLES), find(ROOM, TRAINER)):
            properties |= schema.options(kind)
        del properties[FROM]
        return {
            "description": summary(judge),
            "type": "object",
            "required": list(SIDES),
            "additionalProperties": False,
            "properties": properties,
        }

    def stages(self) -> list[Placed]:
        readers: list[Placed] = [(None, source.reader) for _, source in self.sources()]
        made = [*self.choosers.values(), self.trainer, self.judge]
        return [*readers, *(((self.name,), one) for one in made)]

    def sources(self) -> Sequence[tuple[Path, Source]]:
        found = [((self.name, side), self.sides[side].own) for side in SIDES]
        return [(path, source) for path, source in found if source is not None]

    def graph(self, builder: Builder) -> None:
        """Examples of the recipe's sources are chosen from the documents that are left here."""
        needs = {}
        for side, chooser in self.choosers.items():
            own = self.sides[side].own
            view = None if own is None else builder.read(own)
            needs[side] = builder.fold(f"{EXAMPLES}.{side}", chooser, view)
        trained = builder.task(TRAINER, self.trainer, needs=needs, gives=CLASSIFIER)
        builder.mask(self.name, self.judge, needs={"classifier": trained})


SECTION = LearnedQuality
