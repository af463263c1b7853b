"""The section `train`: a small model, trained on the shards to show that the data teaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.given import MODEL, SHARDS, TOKENIZER
from corpusmill.pipelines.contract.stage import Task
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.json_schema import Node, Schema
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Cut, Placed, Reading, Section


class Train(Section):
    """A training on the packed shards."""

    after: ClassVar[tuple[str, ...]] = ("pack",)
    needs: ClassVar[Mapping[str, str]] = {"pack": "it trains on packed shards"}
    example: ClassVar[str] = "{preset: v3-tiny, steps: 200}"
    gives: ClassVar[tuple[str, ...]] = (MODEL,)

    training: Task

    @classmethod
    def read(cls, data: Any, reading: Reading) -> Self | None:
        training = stage("training_hooks", "train", data, Task, (cls.name,), reading.problems)
        return None if training is None else cls(training=training)

    @classmethod
    def describe(cls, schema: Schema) -> Node:
        return schema.section_of(find("training_hooks", "train"))

    def stages(self) -> list[Placed]:
        return [((self.name,), self.training)]

    def cut(self, rounds: int) -> Cut:
        """A few optimiser steps, which nothing is required of: they could not fulfil it."""
        few = self.training.model_copy(update={"steps": rounds, "require": None})
        steps = int(self.training.model_dump()["steps"])
        return Cut(self.model_copy(update={"training": few}), rounds={self.name: steps})

    def graph(self, builder: Builder) -> None:
        needs = {"shards": builder.need(SHARDS), "tokenizer": builder.need(TOKENIZER)}
        builder.task(self.name, self.training, needs=needs, gives=MODEL)


SECTION = Train
