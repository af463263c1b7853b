"""`quality_examples`: the documents that a classifier takes for one side of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.stage import Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents


class QualityExamples(Seeded, Fold):
    """Choose at most `examples` documents by draws of their ids, cut to `example_bytes` at a character.

    Documents without text are none. What is chosen depends neither on the order of documents nor on how they
    are divided. Memory: twice the texts of the examples, `examples` x `example_bytes` at most. Artefact:
    examples.arrow (`rules/examples.py`).
    """

    columns: ClassVar[tuple[str, ...] | None] = ("id", "text", "source", "lang")

    from_sources: tuple[str, ...] | None = Field(
        None, description="Sources whose documents are examples; null: all."
    )
    examples: int = Field(20_000, ge=10, le=10_000_000, description="Most examples of each side.")
    example_bytes: int = Field(
        2**14, ge=2**6, le=2**20, description="Bytes at the start of an example that are used."
    )

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The examples of one unit (`rules.examples.EXAMPLES`)."""
        from corpusmill.filters.rules.examples import examples_of, fewest_draws

        found = fewest_draws([], self.examples)
        for docs in batches:
            new = examples_of(docs, self.from_sources, self.known_seed(), self.example_bytes)
            if new.num_rows:
                found = fewest_draws([found, new], self.examples)
        return found

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """The examples of smallest draw."""
        from corpusmill.filters.rules.examples import fewest_draws

        return fewest_draws(parts, self.examples)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the artefact; returns how many examples and bytes there are."""
        from corpusmill.filters.rules.examples import write_examples

        return write_examples(self.combine([part]), folder)
