"""`site_cutoffs`: of sites with more than the cap, up to which document they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.filters.rules.site_cutoffs import Cap
    from corpusmill.pipelines.contract.documents import Documents


class SiteCutoffs(Seeded, Fold):
    """Find, of each site that has more than the cap, the last document that is kept.

    The order within a site is by `prefer`, the highest score first, and by draws of ids, so that what is kept
    depends neither on the order of documents nor on how they are divided. From the first document on as many
    are kept as stay within both limits, and none after the first that does not fit. Documents of one id are
    kept or removed together. Documents of sites within the cap are counted, not ordered. Memory: the counts
    of `site_counts`, and 28 bytes for each document that is kept of a site beyond the cap, however large that
    site is. Artefact: cutoffs.arrow (`rules/site_cutoffs.py`); its summary has the largest sites as a table.
    """

    artefacts: ClassVar[tuple[str, ...]] = ("counts",)

    from_sources: tuple[str, ...] | None = Field(
        None, description="Sources whose documents are counted and capped; null: all."
    )
    documents: int | None = Field(None, ge=1, description="Most documents of a site; null: any number.")
    bytes: int | None = Field(None, ge=1, description="Most bytes of text of a site; null: any number.")
    prefer: str | None = Field(
        None,
        description="Score column of which a site's highest are kept, such as math_score.score; null: any.",
    )
    sites_shown: int = Field(50, ge=0, description="Most sites that reports list.")

    _beyond: pa.Table | None = PrivateAttr(default=None)  # sites beyond the cap
    _counts: pa.Table | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """With the sites that are beyond the cap."""
        import pyarrow as pa

        from corpusmill.filters.rules.site_cutoffs import COUNTS_FILE, read_table

        ready = super().prepare(context)
        counts = read_table(context.artefact("counts", COUNTS_FILE))
        named = counts.filter(counts.column("site").is_valid())
        sizes = [named.column(name).to_numpy() for name in ("documents", "bytes")]
        ready._counts = named
        ready._beyond = named.filter(pa.array(self.cap.exceeded(*sizes))).combine_chunks()
        return ready

    @property
    def cap(self) -> Cap:
        """Both limits."""
        from corpusmill.filters.rules.site_cutoffs import Cap

        return Cap(self.documents, self.bytes)

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The documents of one unit that may be kept of sites beyond the cap (`RANKED`)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from corpusmill.filters.rules.site_cutoffs import RANKED, draws_of, first_ranked, scores_of
        from corpusmill.filters.rules.sites import of_sources, sites_of

        if self._beyond is None:
            raise RuntimeError("site_cutoffs needs its counts: call prepare first")
        found = RANKED.empty_table()
        for whole in batches:
            docs = whole.keep(of_sources(whole, self.from_sources))
            places = pc.index_in(sites_of(docs), self._beyond.column("site").combine_chunks())
            beyond = np.asarray(places.is_valid().to_numpy(zero_copy_only=False))
            if beyond.any():
                some = docs.keep(beyond)
                columns = [places.drop_null().cast(pa.uint32()), scores_of(some, self.prefer)]
                columns += [draws_of(some, self.known_seed()), some.sizes()]
                found = first_ranked([found, pa.table(columns, schema=RANKED)], self.cap)
        return found

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """The documents that may be kept by all of them."""
        from corpusmill.filters.rules.site_cutoffs import first_ranked

        return first_ranked(parts, self.cap)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the artefact; returns sums, and the largest sites as a table."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.site_cutoffs import cutoffs_of, write_cutoffs
        from corpusmill.pipelines.records.summary_table import SummaryTable, summary_of

        if self._counts is None or self._beyond is None:
            raise RuntimeError("site_cutoffs needs its counts: call prepare first")
        cutoffs = cutoffs_of(part, self._beyond, self.cap)
        write_cutoffs(cutoffs, folder)
        largest = self._counts.sort_by([("documents", "descending"), ("site", "ascending")]).slice(
            0, self.sites_shown
        )
        kept = {row["site"]: (row["kept_documents"], row["kept_bytes"]) for row in cutoffs.to_pylist()}
        rows = [
            (*(row[name] for name in _COUNTED), *kept.get(row["site"], (row["documents"], row["bytes"])))
            for row in largest.to_pylist()
        ]
        sums = {
            name: pc.sum(cutoffs.column(name)).as_py() or 0
            for name in ("documents", "bytes", "kept_documents", "kept_bytes")
        }
        table = SummaryTable("Sites by documents", (*_COUNTED, "kept_documents", "kept_bytes"), tuple(rows))
        return {"sites": self._counts.num_rows, "capped_sites": cutoffs.num_rows, **sums, **summary_of(table)}


_COUNTED = ("site", "documents", "bytes")
