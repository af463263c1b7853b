"""The section `recall_loop`: rounds of training, scoring and joining sites, and the filter at their end.

Options of its stages stand beside `seed` and `pool`. The graph has all rounds; those after the loop has ended
hand on what they are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.stage import Filter, Fold, Stage, Task
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import mapping, stage, unknown_keys
from corpusmill.pipelines.recipe.example_sources import (
    SOURCES,
    Examples,
    described_entry,
    examples_entry,
    listed,
    unknown_sources,
)
from corpusmill.pipelines.recipe.json_schema import Node, Schema, summary
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Source
from corpusmill.pipelines.recipe.names import mapping_or_empty
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Cut, Placed, Reading, Section

ROOM, SEED, POOL, FROM = "filters", "seed", "pool", "from_sources"
EXAMPLES, TRAINER, ROUND, JUDGE, FIGURES = (
    "quality_examples",
    "train_recall",
    "recall_round",
    "recall_loop",
    "recall_figures",
)
STAGES: Mapping[str, type[Stage]] = {JUDGE: Filter, ROUND: Fold, EXAMPLES: Fold, TRAINER: Task, FIGURES: Task}
SEED_SOURCE = "recall_seed"


class RecallLoop(Section):
    """Find what is like a seed in a pool, round after round, and in sites that have much of it."""

    after: ClassVar[tuple[str, ...]] = ("dedup", "decontaminate")
    before: ClassVar[tuple[str, ...]] = ("perplexity", "learned_quality", "held_out", "tokenizer", "encode")
    example: ClassVar[str] = "{seed: maths/*.jsonl.zst, pool: [web]}"
    step_roots: ClassVar[tuple[str, ...]] = (JUDGE, SEED_SOURCE)

    made: Mapping[str, Stage]
    seed: Examples

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Seed and pool are different sources of the recipe."""
        entry = mapping_or_empty(data)
        seeds, pool = listed(entry.get(SEED)), entry.get(POOL)
        searched = pool if isinstance(pool, list) else []
        yield from unknown_sources(seeds, (cls.name, SEED, SOURCES), recipe)
        yield from unknown_sources(searched, (cls.name, POOL), recipe)
        for at, name in enumerate(searched):
            if name in seeds:
                said = f"{name!r} is the seed; a source cannot be searched for itself"
                yield Problem((cls.name, POOL, at), said)
        if pool is None and seeds and set(recipe["sources"]) <= set(seeds):
            yield Problem((cls.name, SEED), "all sources are the seed; there is none to search")

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        path, problems = (cls.name,), reading.problems
        section = mapping(data, path, problems, cls.example)
        if section is None:
            return None
        known = {name: [key for key in find(ROOM, name).model_fields if key != FROM] for name in STAGES}
        keys = dict.fromkeys((SEED, POOL, *(key for keys in known.values() for key in keys)))
        unknown_keys(section, keys, path, problems)
        seed = examples_entry(cls.name, section.get(SEED), SEED, SEED_SOURCE, problems)
        pool = _pool(section, reading)
        if seed is None or pool is None:
            return None
        made: dict[str, Stage] = {}
        for name, kind in STAGES.items():
            given = {key: section[key] for key in known[name] if key in section}
            if FROM in find(ROOM, name).model_fields:
                given[FROM] = pool
            one = stage(ROOM, name, given, kind, path, problems)
            if one is not None:
                made[name] = one
        if len(made) < len(STAGES):
            return None
        return cls(made=made, seed=seed)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """Options of all its stages, seed and pool, in one mapping."""
        properties: Node = {
            SEED: described_entry(schema, "What is looked for"),
            POOL: {
                "description": "Sources that are searched; by default all but those of the seed.",
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
            },
        }
        for name in STAGES:
            properties |= schema.options(find(ROOM, name))
        del properties[FROM]
        return {
            "description": summary(find(ROOM, JUDGE)),
            "type": "object",
            "required": [SEED],
            "additionalProperties": False,
            "properties": properties,
        }

    @property
    def chooser(self) -> Fold:
        """The stage that chooses the seed's examples."""
        names = self.seed.names
        chooser: Any = self.made[EXAMPLES]
        found: Fold = chooser.model_copy(update={FROM: None if names is None else tuple(names)})
        return found

    def stages(self) -> list[Placed]:
        readers: list[Placed] = [(None, source.reader) for _, source in self.sources()]
        return [*readers, ((self.name,), self.chooser), *(((self.name,), one) for one in self.made.values())]

    def sources(self) -> Sequence[tuple[Path, Source]]:
        return [((self.name, SEED), self.seed.own)] if self.seed.own is not None else []

    def cut(self, rounds: int) -> Cut:
        """All of it: a round on a cut costs what its pages cost."""
        return Cut(self)

    def graph(self, builder: Builder) -> None:
        """The seed's examples, then training and a pass over the pool for each round."""
        made: Any = self.made
        view = None if self.seed.own is None else builder.read(self.seed.own)
        seed = builder.fold(f"{JUDGE}.seed", self.chooser, view)
        others = builder.fold(f"{JUDGE}.others", made[EXAMPLES])
        needs = {"seed": seed, "others": others}
        of_round: dict[str, str] = {}
        all_rounds: dict[str, str] = {}
        for number in range(1, made[JUDGE].rounds + 1):
            trained = builder.task(f"{JUDGE}.train-{number}", made[TRAINER], needs=needs)
            earlier = {"classifier": trained, **of_round}
            done = builder.fold(f"{JUDGE}.round-{number}", made[ROUND], needs=earlier)
            of_round = {"before": done, "earlier": trained}
            needs = {"seed": seed, "before": done, "classifier": trained}
            all_rounds |= {f"classifier_{number}": trained, f"round_{number}": done}
        builder.task(f"{JUDGE}.figures", made[FIGURES], needs={"round": of_round["before"]})
        builder.mask(self.name, made[JUDGE], needs=all_rounds)


def _pool(section: Mapping[str, Any], reading: Reading) -> list[str] | None:
    """The sources that are searched; None when a problem was added."""
    given = section.get(POOL)
    if given is None:
        seeds = listed(section.get(SEED))
        return [name for name in mapping_or_empty(reading.data.get("sources")) if name not in seeds]
    if isinstance(given, list) and given and all(isinstance(name, str) for name in given):
        return list(given)
    reading.problems.append(
        Problem((JUDGE, POOL), "expected a list of names of sources such as `[web]`; leave it out for all")
    )
    return None


SECTION = RecallLoop
