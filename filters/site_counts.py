"""`site_counts`: documents and bytes by site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.stage import Fold

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents

_PARTS = 64  # batches counted before their counts are summed


class SiteCounts(Fold):
    """Count documents and bytes of text by site, which is the host of an address without `www.`.

    Documents without an address are counted together. Memory: 100 bytes and its name for every site.
    Artefact: sites.arrow (`rules/site_cutoffs.py`).
    """

    columns: ClassVar[tuple[str, ...] | None] = ("id", "text", "source", "url")

    from_sources: tuple[str, ...] | None = Field(
        None, description="Sources whose documents are counted and capped; null: all."
    )

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """Counts of one unit (`rules.sites.COUNTED`)."""
        from corpusmill.filters.rules.sites import counted, of_sources, summed

        parts: list[pa.Table] = []
        for docs in batches:
            parts.append(counted(docs.keep(of_sources(docs, self.from_sources))))
            if len(parts) == _PARTS:
                parts = [summed(parts)]
        return summed(parts)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Counts summed."""
        from corpusmill.filters.rules.sites import summed

        return summed(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the artefact; returns how many sites, documents and bytes there are."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.site_cutoffs import write_sites
        from corpusmill.filters.rules.sites import summed

        counts = summed([part])
        write_sites(counts, folder)
        totals = {name: pc.sum(counts.column(name)).as_py() or 0 for name in ("documents", "bytes")}
        return {"sites": pc.count(counts.column("site")).as_py(), **totals}
