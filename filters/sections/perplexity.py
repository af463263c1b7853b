"""The section `perplexity`: a language model of trusted texts, percentiles of the pool, and the filter.

Options of all stages stand beside `trusted`, which says what the model is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.given import LANGUAGE_MODEL
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

ROOM, TRUSTED = "filters", "trusted"
TEXTS, CHOSEN = "trusted_texts", "trusted_examples"
CHOOSER, TRAINER, SAMPLER, JUDGE = (
    "quality_examples",
    "train_perplexity",
    "perplexity_percentiles",
    "perplexity",
)
FROM = "from_sources"


class Perplexity(Section):
    """Train a language model on texts you trust, and score or remove documents by their perplexity."""

    after: ClassVar[tuple[str, ...]] = ("dedup", "decontaminate")
    before: ClassVar[tuple[str, ...]] = ("learned_quality", "held_out", "tokenizer", "encode")
    gives: ClassVar[tuple[str, ...]] = (LANGUAGE_MODEL,)
    example: ClassVar[str] = "{trusted: wiki/*.jsonl.zst, at_most_share: 0.6}"
    step_roots: ClassVar[tuple[str, ...]] = (TEXTS, CHOSEN, TRAINER, SAMPLER, JUDGE)

    trusted: Examples
    chooser: Fold
    trainer: Task
    sampler: Fold
    judge: Filter

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """Trusted sources are sources of the recipe."""
        for at, name in enumerate(listed(mapping_or_empty(data).get(TRUSTED))):
            if name not in recipe["sources"]:
                place: Path = (cls.name, TRUSTED, SOURCES, at)
                yield Problem(place, unknown_name("source", name, recipe["sources"]))

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        path, problems = (cls.name,), reading.problems
        section = mapping(data, path, problems, cls.example)
        if section is None:
            return None
        options = {
            name: [key for key in find(ROOM, name).model_fields if key != FROM]
            for name in (JUDGE, CHOOSER, TRAINER, SAMPLER)
        }
        unknown_keys(section, (TRUSTED, *(key for keys in options.values() for key in keys)), path, problems)
        given = {
            name: {key: section[key] for key in keys if key in section} for name, keys in options.items()
        }
        trusted = examples_entry(cls.name, section.get(TRUSTED), TRUSTED, TEXTS, problems)
        trainer = stage(ROOM, TRAINER, given[TRAINER], Task, path, problems)
        judge = stage(ROOM, JUDGE, given[JUDGE], Filter, path, problems)
        chooser = stage(ROOM, CHOOSER, given[CHOOSER], Fold, path, problems)
        sampler = stage(ROOM, SAMPLER, given[SAMPLER], Fold, path, problems)
        if trusted is None or trainer is None or judge is None or chooser is None or sampler is None:
            return None
        chooser = chooser.model_copy(update={FROM: None if trusted.names is None else tuple(trusted.names)})
        return cls(trusted=trusted, chooser=chooser, trainer=trainer, sampler=sampler, judge=judge)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        """Options of four stages, and the trusted texts, in one mapping."""
        judge = find(ROOM, JUDGE)
        properties: Node = {TRUSTED: described_entry(schema, "Texts that the model is trained on")}
        for kind in (judge, find(ROOM, CHOOSER), find(ROOM, TRAINER), find(ROOM, SAMPLER)):
            properties |= schema.options(kind)
        del properties[FROM]
        return {
            "description": summary(judge),
            "type": "object",
            "required": [TRUSTED],
            "additionalProperties": False,
            "properties": properties,
        }

    def stages(self) -> list[Placed]:
        readers: list[Placed] = [(None, source.reader) for _, source in self.sources()]
        made = [self.chooser, self.trainer, self.sampler, self.judge]
        return [*readers, *(((self.name,), one) for one in made)]

    def sources(self) -> Sequence[tuple[Path, Source]]:
        own = self.trusted.own
        return [] if own is None else [((self.name, TRUSTED), own)]

    def graph(self, builder: Builder) -> None:
        """Texts of the recipe's sources are those that are left here; percentiles are those of the pool."""
        own = self.trusted.own
        view = None if own is None else builder.read(own)
        texts = builder.fold(CHOSEN, self.chooser, view)
        model = builder.task(TRAINER, self.trainer, needs={TRUSTED: texts}, gives=LANGUAGE_MODEL)
        sampled = builder.fold(SAMPLER, self.sampler, needs={"model": model})
        builder.mask(self.name, self.judge, needs={"model": model, "percentiles": sampled})


SECTION = Perplexity
