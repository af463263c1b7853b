"""What holds documents out for the sections that ask for it: whole families, apart from all like them."""

from __future__ import annotations

from typing import ClassVar, Self

from corpusmill.pipelines.contract.given import HELD_OUT, OVERLAP, SEPARATION
from corpusmill.pipelines.contract.stage import Filter, Fold, Stage
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.entries import stage
from corpusmill.pipelines.recipe.section import Placed, Reading, Section

ROOM = "dedup"


class HeldOut(Section):
    """Documents that nothing is learnt from. Sections that learn ask for shares, by use."""

    after: ClassVar[tuple[str, ...]] = ("dedup", "decontaminate")
    gives: ClassVar[tuple[str, ...]] = (HELD_OUT, OVERLAP, SEPARATION)
    implied: ClassVar[bool] = True

    families: Fold
    index: Fold
    overlap: Fold
    separation: Filter

    @classmethod
    def beside(cls, made: Self | None, reading: Reading) -> Self | None:
        shares = reading.asked(cls.name)
        if not any(shares.values()):
            return None
        stages = (
            ("families", "held_out_families", Fold, shares),
            ("index", "held_out_index", Fold, None),
            ("overlap", "held_out_overlap", Fold, None),
            ("separation", "hold_out", Filter, None),
        )
        found: dict[str, Stage | None] = {
            field: stage(ROOM, name, options, kind, (cls.name,), reading.problems)
            for field, name, kind, options in stages
        }
        return None if None in found.values() else cls.model_validate(found)

    def stages(self) -> list[Placed]:
        return [(None, one) for one in (self.families, self.index, self.overlap, self.separation)]

    def graph(self, builder: Builder) -> None:
        """The families held out, and the removal of what stands both in them and elsewhere."""
        families = builder.fold(f"{self.name}.families", self.families, gives=HELD_OUT)
        held = {"held_out": families}
        index = builder.fold(f"{self.name}.index", self.index, needs=held)
        needs = {**held, "held_out_index": index}
        overlap = builder.fold(f"{self.name}.overlap", self.overlap, needs=needs, gives=OVERLAP)
        needs = {**held, "held_out_overlap": overlap}
        builder.mask(self.name, self.separation, needs=needs, gives=SEPARATION)


SECTION = HeldOut
