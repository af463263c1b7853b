"""`held_out_overlap`: what of the held-out documents stands in documents that are learnt from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Fold

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.dedup.matching.overlap_rows import Measure
    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents

REMOVALS, FILE = "removals.arrow", "overlap.json"


class HeldOutOverlap(Fold):
    """Compare every document that something learns from with the documents held out from it.

    Documents are sets of word 5-grams, as for `minhash`. The overlap of two is the share of the smaller's
    shingles that the other has: it is at least their Jaccard index, and the containment of the smaller in the
    larger. It is counted exactly, for every pair.

    Of a pair whose overlap reaches `overlap`, the document with fewer shingles is to be removed, the held-out
    one of two equal: what it says stands in the other. A document of whose shingles that share is common,
    each to more than 256 held-out documents, is removed uncompared: it says nothing of its own.

    Artefact: removals.arrow (id, level, role, overlap, jaccard, other: who it is removed for; one row a
    document and level, sorted) and overlap.json, which counts them by source and gives the largest overlap
    and Jaccard index that any held-out document is left with. Memory: the index, and a row a held-out
    document.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("held_out", "held_out_index")

    overlap: float = Field(
        0.8, gt=0, le=1, description="Share of the smaller document's shingles in the other that removes one."
    )

    _measure: Measure | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.dedup.matching.overlap_rows import Measure
        from corpusmill.pipelines.contract.held_out import ARTEFACT, FILE, read_held_out

        ready = self.model_copy()
        held = read_held_out(context.artefact(ARTEFACT, FILE))
        ready._measure = Measure.load(held, context.artefacts["held_out_index"], self.overlap)
        return ready

    def marks(self) -> Marks:
        """Levels alone; the index is taken as a whole."""
        from corpusmill.pipelines.contract.held_out import marks_of_levels

        return marks_of_levels()

    def warm(self) -> None:
        """Compile the kernel on no documents, once the index is loaded."""
        from corpusmill.pipelines.contract.documents import SCHEMA, Documents

        if self._measure is not None:
            self._measure.rows(Documents(SCHEMA.empty_table()))

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        import pyarrow as pa

        from corpusmill.dedup.matching.overlap_rows import ROWS, best

        found = ROWS.empty_table()
        for docs in batches:
            found = best(pa.concat_tables([found, self._known().rows(docs)]))
        return found

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        from corpusmill.dedup.matching.overlap_rows import best

        return best(pa.concat_tables(parts))

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write removals.arrow and overlap.json; returns what the latter says."""
        import pyarrow.ipc as ipc

        from corpusmill.pipelines.records.codec import encode

        removals, facts = self._known().decided(part)
        with ipc.new_file(folder / REMOVALS, removals.schema) as file:
            file.write_table(removals)
        said = encode(facts)
        (folder / FILE).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        return said

    def _known(self) -> Measure:
        if self._measure is None:
            raise RuntimeError("held_out_overlap needs the index of held-out documents: call prepare first")
        return self._measure
