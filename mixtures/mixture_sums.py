"""`mixture_sums`: the tokens of each cell by the draws of their documents, which `mixture` plans from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.stage import Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.mixtures.plan.cells import Cells
    from corpusmill.pipelines.contract.documents import Documents

FILE = "sums.arrow"


class MixtureSums(Seeded, Fold):
    """Add up tokens, documents and bytes of each cell in 65,536 bins of a draw of the documents' ids.

    A cell is the documents that are equal in all columns that the mixture names, a source where it names
    none. Documents held out are counted apart, since no copy of them is trained on.

    Artefact: sums.arrow (`plan.histogram.HISTOGRAM`). Memory: the bins that hold documents, at most 2^21 over
    all cells, or bins are joined.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ("tokens",)

    told_by: list[str] = Field(
        default_factory=lambda: ["source"], description="Columns that cells are told apart by."
    )
    edges: dict[str, list[int | float]] = Field(
        default_factory=dict, description="Bounds of the buckets of columns of numbers."
    )
    named: dict[str, list[str]] = Field(
        default_factory=dict, description="Values that are told apart, by column; all where it is left out."
    )

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        from corpusmill.mixtures.plan.histogram import histogram

        return histogram(batches, self.known_seed(), self._cells())

    def _cells(self) -> Cells:
        from corpusmill.mixtures.plan.cells import Cells

        return Cells.of(self.told_by, self.edges, self.named)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        from corpusmill.mixtures.plan.histogram import add

        return add(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write sums.arrow; returns tokens and documents by source, held-out ones included."""
        import pyarrow.ipc as ipc

        from corpusmill.mixtures.plan.histogram import by_cell

        with ipc.new_file(folder / FILE, part.schema) as file:
            file.write_table(part)
        found: dict[str, dict[str, int]] = {}
        for cells in (by_cell(part), by_cell(part, apart=True)):
            for (source, *_), sums in cells.items():
                mine = found.setdefault(source, {"tokens": 0, "documents": 0})
                mine["tokens"] += sums.totals[0]
                mine["documents"] += sums.totals[1]
        return dict(sorted(found.items()))
