"""Repeated paragraphs or lines, cut from documents that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides
from corpusmill.pipelines.contract.windows import InWindows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.dedup.matching.pieces import Comparing
    from corpusmill.dedup.matching.repeats import Copies, Mask
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round

PieceUnit = Literal["paragraph", "line"]
Normalize = Literal["exact", "ccnet", "fold"]
Keep = Literal["first", "none"]


class Settings(NamedTuple):
    """A preset, or a preset with the recipe's own options laid over it."""

    unit: PieceUnit
    normalize: Normalize
    min_characters: int
    min_words: int
    keep: Keep


PRESETS: dict[str, Settings] = {
    "careful": Settings("paragraph", "exact", 40, 5, "first"),
    "ccnet": Settings("line", "ccnet", 1, 0, "none"),
    "dolma": Settings("line", "exact", 1, 0, "first"),
}


class Paragraph(Exchange):
    """Cut paragraphs, or lines, that repeat in the corpus; counted over all documents of the run.

    Pieces are equal when the 128-bit MurmurHash3 of their normal forms is: the probability that n different
    forms give any wrong match is about n^2 / 2^129. A piece of whose form nothing is left, such as a rule of
    dashes under `fold`, is never cut. A line goes with its line break, a paragraph with the blank lines after
    it; what is left of the text is not changed. What is a line or paragraph, normal forms, and what presets
    share with the tools that they are named after: docs/deduplication.md.

    Of the copies of a piece the first `max_copies` stay (`keep: first`), or all of them go where there are
    more (`keep: none`). Their order: earlier source in `priority`, more bytes of the document, smaller id,
    smaller address, then place in the document. `within: site` compares documents of one host name (lower
    case, without `www.`); one without a URL is then compared with its own id alone. Reason:
    `repeated_paragraph` or `repeated_line`.

    Memory: 90 bytes a piece of a row group; while reducing 45 bytes a piece of the partition and 150 a copy,
    of one piece 32 MiB of them at once.
    """

    name: ClassVar[str] = "paragraph"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "xxhash")
    address_only: ClassVar[bool] = True

    preset: Literal["careful", "ccnet", "dolma"] = Field(
        "careful", description="Tool whose parameters hold where an option is null; careful: our own."
    )
    unit: PieceUnit | None = Field(
        None, description="Compare paragraphs, set apart by blank lines, or lines; null: as in the preset."
    )
    normalize: Normalize | None = Field(
        None, description="Compare bytes, as CCNet, or letters and numbers alone; null: as in the preset."
    )
    min_characters: int | None = Field(
        None, ge=1, description="Characters of the shortest piece that is cut; null: as in the preset."
    )
    min_words: int | None = Field(
        None, ge=0, description="Words of the shortest piece that is cut; null: as in the preset."
    )
    keep: Keep | None = Field(
        None, description="Keep the first copies, or none of what repeats; null: as in the preset."
    )
    max_copies: int = Field(1, ge=1, description="Copies of a piece that do not count as repeated.")
    within: Literal["corpus", "site"] = Field(
        "corpus", description="Compare all documents, or those of one host name, as their URLs have it."
    )
    sources: list[str] = Field([], description="Sources that are compared and cut; none named: all.")
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )

    def settings(self) -> Settings:
        """The preset with the options given laid over it."""
        given = {field: value for field in Settings._fields if (value := getattr(self, field)) is not None}
        return PRESETS[self.preset]._replace(**given)

    def comparing(self) -> Comparing:
        """Which pieces of a text are compared, and by what of them."""
        from corpusmill.dedup.matching.pieces import Comparing

        s = self.settings()
        return Comparing(s.unit, s.normalize, s.min_characters, s.min_words)

    def warm(self) -> None:
        """Compile the kernels on nothing."""
        from corpusmill.dedup.matching.pieces import hashed_pieces
        from corpusmill.pipelines.contract.documents import SCHEMA, Documents

        hashed_pieces(Documents(SCHEMA.empty_table()), self.comparing())

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a piece: hash, address, place in the text; side: facts of each document."""
        from corpusmill.dedup.matching import pieces

        found = pieces.hashed_pieces(docs, self.comparing())
        if self.sources:
            found = found.only(pieces.of_sources(docs, self.sources)[found.document])
        within = pieces.site_or_id_hashes(docs) if self.within == "site" else None
        return Emitted(pieces.piece_rows(found, unit, rows, within), pieces.facts(docs))

    def rounds(self) -> Sequence[Round | WithSides]:
        from corpusmill.dedup.matching import hot_pieces, repeats

        def known_repeats(known: pa.Table, rows: pa.Table) -> pa.Table:
            return repeats.by_document(hot_pieces.known_twice(known, rows))

        find = InWindows(self.find_repeats, hot_pieces.learn_keys, known_repeats)
        cut = InWindows(self.cut_repeats, self._learn_copies, self._cut_some)
        return (find, WithSides(repeats.with_facts, at_once=2**18), cut)

    def find_repeats(self, rows: pa.Table) -> pa.Table:
        """Round 1 of 3: pieces whose key another has too, sent to their documents for the facts of these."""
        from corpusmill.dedup.matching import repeats

        return repeats.by_document(repeats.same_key_twice(rows))

    def cut_repeats(self, rows: pa.Table) -> Found:
        """Round 3 of 3: edits of all copies beyond those that stay."""
        from corpusmill.dedup.matching import repeats

        return self._cut(repeats.copies(rows, self.priority))

    def _learn_copies(self, known: pa.Table | None, rows: pa.Table) -> pa.Table:
        from corpusmill.dedup.matching import hot_pieces

        return hot_pieces.learn_copies(known, rows, self.priority, self.max_copies)

    def _cut_some(self, known: pa.Table, rows: pa.Table) -> Found:
        from corpusmill.dedup.matching import hot_pieces

        return self._cut(*hot_pieces.copies_among(known, rows, self.priority))

    def _cut(self, found: Copies, of: Mask | bool = True) -> Found:
        """Edits of copies, `of` those that are looked at."""
        import numpy as np

        from corpusmill.dedup.matching import repeats

        s = self.settings()
        first_stays = s.keep == "first"
        if first_stays:
            chosen = np.arange(len(found.first)) - found.first >= self.max_copies
        else:
            chosen = found.count > self.max_copies
        edits = repeats.edits(found, chosen & of, f"repeated_{s.unit}", first_stays=first_stays)
        return Found(edits=edits)
