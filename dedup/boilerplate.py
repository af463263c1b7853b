"""Boilerplate of sites: lines at the beginning or end of pages that many pages of a site share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.dedup.matching.pieces import Comparing
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round


class Boilerplate(Exchange):
    """Cut lines, or paragraphs, that stand at the top or bottom of many pages of one site.

    Of every page the first and last `edge` pieces are looked at, blank lines apart, and compared with those
    of pages of the same host name (lower case, without `www.`). A piece that stands so on `min_pages` pages,
    and on a share of `min_share` of the site's pages that come to this stage, is boilerplate, and is cut from
    the edges of all of them; `keep: first` leaves it on one, the first by `priority`, bytes, id and address.
    The same line in the middle of a page stays. Pages without a URL are of no site and stay as they are.
    Lines, paragraphs and normal forms are those of `paragraph`, and so is the probability of a wrong match,
    n^2 / 2^129 for n forms. Reason: `boilerplate`.

    With `min_share` repeats are counted by piece and judged by site in two rounds more.

    Memory: 90 bytes a piece of a row group; while reducing 80 bytes a piece of the partition and 150 a copy.
    """

    name: ClassVar[str] = "boilerplate"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "xxhash")
    address_only: ClassVar[bool] = True

    unit: Literal["paragraph", "line"] = Field(
        "line", description="Compare lines, or paragraphs, which are set apart by blank lines."
    )
    normalize: Literal["exact", "ccnet", "fold"] = Field(
        "fold", description="Compare bytes, as CCNet, or letters and numbers alone in lower case."
    )
    edge: int = Field(
        5, ge=1, description="Lines or paragraphs at the top, and as many at the bottom, that are looked at."
    )
    min_pages: int = Field(10, ge=2, description="Pages of a site that boilerplate stands on, at least.")
    min_share: float = Field(
        0.0, ge=0, le=1, description="Share of a site's pages that boilerplate stands on, at least."
    )
    min_characters: int = Field(1, ge=1, description="Characters of the shortest piece that is cut.")
    keep: Literal["first", "none"] = Field(
        "none", description="Cut boilerplate from all pages, or leave it on the first."
    )
    sources: list[str] = Field([], description="Sources that are compared and cut; none named: all.")
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )

    def comparing(self) -> Comparing:
        """Which pieces of a text are compared, and by what of them."""
        from corpusmill.dedup.matching.pieces import Comparing

        return Comparing(self.unit, self.normalize, self.min_characters, 0)

    def warm(self) -> None:
        """Compile the kernels on nothing."""
        from corpusmill.dedup.matching.pieces import hashed_pieces
        from corpusmill.pipelines.contract.documents import SCHEMA, Documents

        hashed_pieces(Documents(SCHEMA.empty_table()), self.comparing())

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a piece at an edge, and with `min_share` one a site, with the number of its pages."""
        import pyarrow as pa

        from corpusmill.dedup.matching import pieces, site_shares

        found = pieces.hashed_pieces(docs, self.comparing())
        low, high = pieces.site_hashes(docs)
        chosen = ((low | high) != 0) & pieces.of_sources(docs, self.sources)
        at_edge = (found.nth < self.edge) | (found.of - found.nth <= self.edge)
        found = found.only(at_edge & chosen[found.document])
        emitted = pieces.piece_rows(found, unit, rows, (low, high))
        if self.min_share > 0:
            sites = low[found.document], high[found.document]
            pages = site_shares.pages(low[chosen], high[chosen], unit, rows[chosen])
            emitted = pa.concat_tables([site_shares.with_sites(emitted, *sites), pages])
        return Emitted(emitted, pieces.facts(docs))

    def rounds(self) -> Sequence[Round | WithSides]:
        from corpusmill.dedup.matching import repeats

        facts = WithSides(repeats.with_facts, at_once=2**18)
        if self.min_share > 0:
            return (self.count_pages, self.judge_sites, self.choose_judged, facts, self.cut)
        return (self.choose_counted, facts, self.cut)

    def count_pages(self, rows: pa.Table) -> pa.Table:
        """Round 1 of 5, by piece: those on enough pages, and for each how many, sent to its site."""
        from corpusmill.dedup.matching import site_shares

        return site_shares.counted(rows, self.min_pages)

    def judge_sites(self, rows: pa.Table) -> pa.Table:
        """Round 2 of 5, by site: the verdict on each piece, sent to it."""
        from corpusmill.dedup.matching import site_shares

        return site_shares.judged(rows, self.min_share)

    def choose_judged(self, rows: pa.Table) -> pa.Table:
        """Round 3 of 5, by piece: those with a verdict, sent to their documents for the facts of these."""
        from corpusmill.dedup.matching import repeats, site_shares

        return repeats.by_document(site_shares.with_verdict(rows))

    def choose_counted(self, rows: pa.Table) -> pa.Table:
        """Without `min_share` round 1 of 3: pieces on enough pages, sent likewise."""
        from corpusmill.dedup.matching import repeats, site_shares

        return repeats.by_document(site_shares.on_pages(rows, self.min_pages))

    def cut(self, rows: pa.Table) -> Found:
        """The last round, by piece: edits."""
        import numpy as np

        from corpusmill.dedup.matching import repeats

        found = repeats.copies(rows, self.priority)
        first_stays = self.keep == "first"
        chosen = (np.arange(len(found.first)) != found.first) | (not first_stays)
        return Found(edits=repeats.edits(found, chosen, "boilerplate", first_stays=first_stays))
