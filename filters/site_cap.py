"""`site_cap`: at most so many documents, or bytes, of a site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats
from corpusmill.pipelines.contract.stage import Context, Filter, Seeded, Stage

if TYPE_CHECKING:
    from corpusmill.filters.rules.site_cutoffs import Draws


class SiteCap(Seeded, Filter):
    """Remove what a site has beyond the cap of the whole corpus, in the order that `site_cutoffs` has.

    Documents without an address, and of other sources, are kept. Scores: `site`, the host of the address
    without `www.`; `documents` and `bytes` that a site beyond the cap has, null for others; `over`, whether
    the document is behind the last that is kept. Reason: site_cap. Memory: 100 bytes and its name for each
    site beyond the cap.
    """

    produces: ClassVar[tuple[str, ...]] = tuple(
        f"site_cap.{score}" for score in ("site", "documents", "bytes", "over")
    )
    consumes: ClassVar[tuple[str, ...]] = ("text", "url")
    artefacts: ClassVar[tuple[str, ...]] = ("cutoffs",)

    from_sources: tuple[str, ...] | None = Field(
        None, description="Sources whose documents are counted and capped; null: all."
    )
    prefer: str | None = Field(
        None,
        description="Score column of which a site's highest are kept, such as math_score.score; null: any.",
    )

    _cutoffs: pa.Table | None = PrivateAttr(default=None)

    def conflicts(self, before: Sequence[Stage]) -> list[tuple[str, str]]:
        """A `prefer` that no step before gives: documents would be drawn, though the recipe orders them."""
        if self.prefer is None:
            return []
        name = self.prefer.partition(".")[0]
        for step in before:
            listed = [column for column in step.produces if column.startswith(f"{name}.")]
            if step.name == name and (not listed or self.prefer in listed):
                return []
        wrong = (
            f"no step of the sources gives the score `{self.prefer}`; write one that does, or leave it out"
        )
        return [("prefer", wrong)]

    def prepare(self, context: Context) -> Self:
        from corpusmill.filters.rules.site_cutoffs import CUTOFFS_FILE, read_table

        ready = super().prepare(context)
        ready._cutoffs = read_table(context.artefact("cutoffs", CUTOFFS_FILE))
        return ready

    def score(self, docs: Documents) -> Columns:
        """The columns above, n rows each, null for documents of other sources."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.site_cutoffs import draws_of, over, scores_of
        from corpusmill.filters.rules.sites import of_sources, sites_of

        if self._cutoffs is None:
            raise RuntimeError("site_cap needs prepare(context) before it can score")
        outside = ~of_sources(docs, self.from_sources)
        sites = pc.if_else(pa.array(outside), None, sites_of(docs)).cast(pa.string())
        at = pc.index_in(sites, self._cutoffs.column("site").combine_chunks())
        drawn: Draws = np.zeros(len(docs), np.uint64)
        beyond = np.asarray(at.is_valid().to_numpy(zero_copy_only=False))
        if beyond.any():
            drawn[beyond] = draws_of(docs.keep(beyond), self.known_seed())
        behind = over(self._cutoffs, sites, scores_of(docs, self.prefer), drawn)
        counts = {
            name: self._cutoffs.column(name).combine_chunks().take(at) for name in ("documents", "bytes")
        }
        return {"site": sites, **counts, "over": pa.array(behind, mask=outside)}

    def judge(self, scores: Columns) -> pa.Array:
        """What is `over`."""
        return reason_where((floats(scores["over"]) > 0, "site_cap"))
