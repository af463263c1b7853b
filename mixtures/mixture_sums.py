"""`mixture_sums`: the tokens of each source by the draws of their documents, which `mixture` plans from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corpusmill.pipelines.contract.stage import Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents

FILE = "sums.arrow"


class MixtureSums(Seeded, Fold):
    """Add up tokens, documents and bytes of each source in 65,536 bins of a draw of the documents' ids.

    Documents held out are counted apart, since no copy of them is trained on; and each view of a document
    (`contract.encoded_views`) by itself.

    Artefact: sums.arrow (`plan.histogram.HISTOGRAM`). Memory: three numbers a bin, source and view.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ("tokens",)

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        from corpusmill.mixtures.plan.histogram import histogram

        return histogram(batches, self.known_seed())

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        from corpusmill.mixtures.plan.histogram import add

        return add(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write sums.arrow; returns tokens and documents by source, held-out ones included."""
        import pyarrow.compute as pc
        import pyarrow.ipc as ipc

        with ipc.new_file(folder / FILE, part.schema) as file:
            file.write_table(part)
        first = part.filter(pc.equal(part.column("view"), 0))
        sums = first.group_by("source", use_threads=False).aggregate(
            [("tokens", "sum"), ("documents", "sum")]
        )
        return {
            row["source"]: {"tokens": row["tokens_sum"], "documents": row["documents_sum"]}
            for row in sums.sort_by("source").to_pylist()
        }
