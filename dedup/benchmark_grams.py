"""The n-grams of benchmark items, as an artefact for `decontaminate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.stage import Fold

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from corpusmill.dedup.matching.benchmark_index import GramRules
    from corpusmill.pipelines.contract.documents import Documents


class BenchmarkGrams(Fold):
    """Collect the word n-grams of benchmark items (one document each) into an index.

    **Parts of an item.** Benchmarks keep question and solution in fields of their own, and a page that quotes
    only one of them is as harmful as one with both. So an item has these parts, each optional:

    - *question*: the fields `question_fields`; without any, its whole text. Its grams count, and finding
      most of them in a document is containment of the item.
    - *solution*: the fields `solution_fields`. Its grams count towards overlap only: short solutions
      (`return a + b`) are common code and common sense.
    - *text*: what the reader made of the item; grams across question, options and solution, for overlap.

    **Grams.** Runs of `n` words (`kernels/words.py`: folded; a Han or Kana character is a word). A question
    of fewer words is one gram of its own length, found only where all of it stands in a row; those under
    `min_short_words` are counted in the summary alone. Solutions and texts under n words are not used. Grams
    without a word of two letters (or a Han or Kana character) are ignored, as counting and alphabets say
    nothing, and so are those in more than `max_items` items: instructions and options that many share. A
    question that loses over half its grams so is no longer looked for as a whole.

    After marin's decontamination (13-grams, numeric grams ignored, boilerplate excluded, exact features for
    short items); datatrove's has n = 12, only solutions and the seam between question and solution, and no
    exclusions. Memory of the fold: 8 bytes a gram and part, about 25 MB for 8,000 items.

    Artefact: `grams.npy` uint64[G], sorted distinct hashes; `heads.npy`, hashes of the first
    `min_short_words` words of each, sorted and distinct; `gram_benchmarks.npy` int64[G]; `gram_starts.npy`
    int64[G + 1] and `gram_questions.npy`, the questions of each gram; `question_sizes.npy` and
    `question_benchmarks.npy` int64[P]; `index.json` with `n`, `head`, `lengths` and the benchmarks' names.
    """

    name: ClassVar[str] = "benchmark_grams"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    consumes: ClassVar[tuple[str, ...]] = ("text", "meta")

    n: int = Field(13, ge=2, le=100, description="Words of an n-gram (marin: 13; datatrove: 12).")
    min_short_words: int = Field(8, ge=1, description="Fewest words of a question that is looked for.")
    max_items: int = Field(10, ge=1, description="Most benchmark items that an n-gram may occur in.")
    question_fields: list[str] = Field(
        ["question", "problem", "prompt", "informal_statement", "formal_statement"],
        description="Metadata fields whose text is a question; without any, the item's whole text is one.",
    )
    solution_fields: list[str] = Field(
        ["answer", "solution", "code", "canonical_solution", "informal_proof", "test_list"],
        description="Metadata fields whose text, or list of texts, is a solution.",
    )
    benchmark_fields: list[str] = Field(
        ["benchmark", "source", "dataset"],
        description="Metadata fields that name the benchmark, the first present; else the item's source.",
    )

    @model_validator(mode="after")
    def _short_is_shorter(self) -> BenchmarkGrams:
        if self.min_short_words > self.n:
            raise ValueError(f"min_short_words ({self.min_short_words}) must not exceed n ({self.n})")
        return self

    def rules(self) -> GramRules:
        """The options, as `kernels.benchmark_index` takes them."""
        from corpusmill.dedup.matching.benchmark_index import GramRules

        return GramRules(**{name: getattr(self, name) for name in type(self).model_fields})

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """One row a part: benchmark, item id, role, words, and its grams (distinct, in order)."""
        from corpusmill.dedup.matching.benchmark_index import parts_table

        return parts_table(self.rules(), batches)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """All rows of all parts; their order does not matter to `finish`."""
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the index; returns counts of items, questions and grams by benchmark."""
        from corpusmill.dedup.matching.benchmark_index import write_index

        return write_index(self.rules(), part, folder)
