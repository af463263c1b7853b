"""Boilerplate of sites: lines at the beginning or end of pages that many pages of a site share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides
from corpusmill.pipelines.contract.windows import learned_first

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

    Memory: 90 bytes a piece of a row group; while reducing 80 bytes a piece of the partition and 150 a copy,
    of one piece 32 MiB of them at once.
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
        import numpy as np
        import pyarrow as pa

        from corpusmill.dedup.matching import pieces, site_shares

        found = pieces.hashed_pieces(docs, self.comparing())
        low, high = pieces.site_hashes(docs)
        chosen = ((low | high) != 0) & pieces.of_sources(docs, self.sources)
        at_edge = (found.nth < self.edge) | (found.of - found.nth <= self.edge)
        found = found.only(at_edge & chosen[found.document])
        emitted = pieces.piece_rows(found, unit, rows, (low, high))
        emitted = site_shares.marked_once(emitted)
        if self.min_share > 0:
            once = emitted.column("once")
            sites = low[found.document], high[found.document]
            pages = site_shares.pages(low[chosen], high[chosen], unit, rows[chosen])
            emitted = site_shares.with_sites(emitted.drop_columns(["once"]), *sites)
            emitted = emitted.append_column("once", once)
            pages = pages.append_column("once", pa.array(np.zeros(len(pages), bool)))
            emitted = pa.concat_tables([emitted, pages])
        return Emitted(emitted, pieces.facts(docs))

    def rounds(self) -> Sequence[Round | WithSides]:
        """By piece, those on enough pages; by document, its facts; by piece, edits. With `min_share` two more
        after the first: by site, verdicts on its pieces; by piece, those with a verdict."""
        from corpusmill.dedup.matching import hot_pieces, repeats, site_shares

        def counted(known: pa.Table, rows: pa.Table) -> pa.Table:
            return site_shares.counted(known, rows, self.min_pages)

        def judged(known: pa.Table, rows: pa.Table) -> pa.Table:
            return site_shares.judged(known, rows, self.min_share)

        def chosen(known: pa.Table, rows: pa.Table) -> pa.Table:
            return repeats.by_document(site_shares.with_verdict(known, rows))

        def on_pages(known: pa.Table, rows: pa.Table) -> pa.Table:
            return repeats.by_document(site_shares.on_pages(known, rows, self.min_pages))

        def learn_first(known: pa.Table | None, rows: pa.Table) -> pa.Table:
            most = 1 if self.keep == "first" else 0
            return hot_pieces.learn_copies(known, rows, self.priority, most)

        facts = WithSides(repeats.with_facts, at_once=2**18)
        cut = learned_first(learn_first, self._cut)
        if self.min_share > 0:
            return (
                learned_first(site_shares.learn_counts, counted),
                learned_first(site_shares.learn_sites, judged),
                learned_first(site_shares.learn_verdicts, chosen),
                facts,
                cut,
            )
        return (learned_first(site_shares.learn_pages, on_pages), facts, cut)

    def _cut(self, known: pa.Table, rows: pa.Table) -> Found:
        """The last round, by piece: edits of some copies."""
        import numpy as np

        from corpusmill.dedup.matching import hot_pieces, repeats

        first_stays = self.keep == "first"
        found, shown = hot_pieces.copies_among(known, rows, self.priority)
        chosen = (np.arange(len(found.first)) != found.first) | (not first_stays)
        return Found(edits=repeats.edits(found, chosen & shown, "boilerplate", first_stays=first_stays))
