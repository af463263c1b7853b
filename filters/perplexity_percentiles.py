"""`perplexity_percentiles`: how perplexities of a pool's documents are spread, by language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.filters.rules.ngram_model import Ready
    from corpusmill.pipelines.contract.documents import Documents


class PerplexityPercentiles(Seeded, Fold):
    """Percentiles of the perplexities of `sampled` documents, chosen by draws of their ids, by language.

    What is chosen depends neither on the order of documents nor on how they are divided. Memory: 40 bytes a
    document of the sample. Artefact: percentiles.json (`rules/percentiles.py`).
    """

    columns: ClassVar[tuple[str, ...] | None] = ("id", "text", "lang")
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("model",)

    sampled: int = Field(
        200_000, ge=100, le=10_000_000, description="Most documents that percentiles are taken of."
    )
    fewest_documents: int = Field(
        100, ge=1, description="Fewest documents of a language that has percentiles (others: none)."
    )

    _ready: Ready | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """With the model loaded. Raises DataError where its files are damaged."""
        from corpusmill.filters.rules.ngram_model import HEADER, read_model, ready

        found = super().prepare(context)
        found._ready = ready(read_model(context.artefact("model", HEADER).parent))
        return found

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The sample of one unit (`rules.percentiles.SAMPLE`)."""
        from corpusmill.filters.rules.percentiles import fewest, sample_of

        if self._ready is None:
            raise RuntimeError("perplexity_percentiles needs prepare(context) first")
        found = fewest([], self.sampled)
        for docs in batches:
            perplexities, _ = self._ready.perplexities(docs)
            found = fewest([found, sample_of(docs, perplexities, self.known_seed())], self.sampled)
        return found

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """The documents of smallest draw."""
        from corpusmill.filters.rules.percentiles import fewest

        return fewest(parts, self.sampled)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the artefact; returns the documents and the median of each language."""
        from corpusmill.filters.rules.percentiles import write_percentiles

        return write_percentiles(self.combine([part]), self.fewest_documents, folder)
