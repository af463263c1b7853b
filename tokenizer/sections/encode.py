"""What turns the documents that are left into tokens, for a section that asks for it."""

from __future__ import annotations

from typing import ClassVar, Self

from corpusmill.pipelines.contract.given import ENCODED, HELD_OUT, JUDGEMENT, TOKENIZER
from corpusmill.pipelines.contract.stage import Map
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.section import Placed, Reading, Section


class Encode(Section):
    """Documents as tokens, once the tokenizer is judged. The section that packs asks with its options."""

    after: ClassVar[tuple[str, ...]] = ("tokenizer",)
    gives: ClassVar[tuple[str, ...]] = (ENCODED,)
    implied: ClassVar[bool] = True

    encoder: Map

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        options = reading.asked(cls.name)
        if not options:
            return None
        encoder: Map | None = stage("tokenizer", "encode", options, Map, ("pack",), reading.problems)
        return None if encoder is None else cls(encoder=encoder)

    def stages(self) -> list[Placed]:
        return [(None, self.encoder)]

    def graph(self, builder: Builder) -> None:
        families, judgement = builder.offered(HELD_OUT), builder.offered(JUDGEMENT)
        needs = {"tokenizer": builder.need(TOKENIZER)}
        if families is not None:
            needs["held_out"] = families
        after = () if judgement is None else (judgement,)
        builder.encode(self.name, self.encoder, needs=needs, after=after, gives=ENCODED)


SECTION = Encode
