"""The section `site_cap`: counts by site, the cutoffs of large ones, and the filter that asks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.example_sources import unknown_sources
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.names import mapping_or_empty
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.recipe.section import Placed, Section

ROOM = "filters"
COUNTS, CUTOFFS, JUDGE = "site_counts", "site_cutoffs", "site_cap"


class SiteCap(Section):
    """Count documents and bytes by site, and keep at most so many of each site in the whole corpus."""

    after: ClassVar[tuple[str, ...]] = (
        "dedup",
        "decontaminate",
        "recall_loop",
        "perplexity",
        "learned_quality",
    )
    before: ClassVar[tuple[str, ...]] = ("held_out", "tokenizer", "encode")
    example: ClassVar[str] = "{documents: 10K}"

    documents: int | None = Field(None, ge=1, description="Most documents of a site; null: any number.")
    bytes: int | None = Field(None, ge=1, description="Most bytes of text of a site; null: any number.")
    prefer: str | None = Field(
        None,
        description="Score column of which a site's highest are kept, such as math_score.score; null: any.",
    )
    from_sources: tuple[str, ...] | None = Field(
        None, min_length=1, description="Sources that are counted and capped together; null: all."
    )
    sites_shown: int = Field(50, ge=0, description="Most sites that reports list.")

    @classmethod
    def check(cls, data: Any, recipe: Mapping[str, Any]) -> Iterator[Problem]:
        """It has a limit, or says that it has none; its sources are sources of the recipe."""
        given = mapping_or_empty(data)
        if not given.keys() & {"documents", "bytes"}:
            wrong = "it has no limit and would remove nothing; add `documents: 10K`, `bytes: 50MB` or both"
            yield Problem((cls.name,), f"{wrong}, or `documents: null` to count sites alone")
        named = given.get("from_sources")
        yield from unknown_sources(
            named if isinstance(named, list) else [], (cls.name, "from_sources"), recipe
        )

    def _made(self) -> tuple[Any, Any, Any]:
        """The stages that count, cut and judge."""
        shared = {"from_sources": self.from_sources}
        ordered = {**shared, "prefer": self.prefer}
        limits = {"documents": self.documents, "bytes": self.bytes, "sites_shown": self.sites_shown}
        return (
            find(ROOM, COUNTS).model_validate(shared),
            find(ROOM, CUTOFFS).model_validate({**ordered, **limits}),
            find(ROOM, JUDGE).model_validate(ordered),
        )

    def stages(self) -> list[Placed]:
        return [((self.name,), one) for one in self._made()]

    def graph(self, builder: Builder) -> None:
        """Two passes over the documents that are left here, then the mask."""
        counter, cutter, judge = self._made()
        counts = builder.fold(f"{self.name}.counts", counter)
        cutoffs = builder.fold(f"{self.name}.cutoffs", cutter, needs={"counts": counts})
        builder.mask(self.name, judge, needs={"cutoffs": cutoffs})


SECTION = SiteCap
