"""What turns the documents that are left into tokens, for a section that asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from corpusmill.pipelines.contract.given import ENCODED, HELD_OUT, JUDGEMENT, TOKENIZER
from corpusmill.pipelines.contract.stage import Map
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.section import Placed, Reading, Section
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.views import views_of

MOST_VIEWS = 64


class Encode(Section):
    """Documents as tokens, once the tokenizer is judged. The section that packs asks with its options.

    Besides, it may be asked for `epochs`, how often a document may be taken, and `phases`, by phase the
    options of `pack.fim` that are its own (null: none). What they make of views is asked of the mixture.
    """

    after: ClassVar[tuple[str, ...]] = ("tokenizer",)
    gives: ClassVar[tuple[str, ...]] = (ENCODED,)
    implied: ClassVar[bool] = True

    encoder: Map
    numbers: list[list[int]]
    """Views by phase and epoch (`fim.views.views_of`)."""

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        options = reading.asked(cls.name)
        phases, epochs = options.pop("phases", ()), options.pop("epochs", 1)
        if not options:
            return None
        views, numbers = views_of(Fim.model_validate(options.get("fim", {})), phases, epochs)
        if len(views) > MOST_VIEWS:
            message = (
                f"a copy may be taken of a document {epochs:,} times, and each would be framed anew, which "
                f"means {len(views):,} encodings; {MOST_VIEWS} are allowed: lower max_epochs of the mixture"
            )
            reading.problems.append(Problem(("pack", "fim", "each_epoch"), message))
            return None
        if len(views) > 1:
            options["views"] = views[1:]
        encoder: Map | None = stage("tokenizer", "encode", options, Map, ("pack",), reading.problems)
        return None if encoder is None else cls(encoder=encoder, numbers=numbers)

    def asks(self) -> Mapping[str, Mapping[str, Any]]:
        one = all(number == 0 for phase in self.numbers for number in phase)
        return {} if one else {"mixture": {"views": self.numbers}}

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
