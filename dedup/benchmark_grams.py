"""What benchmark items are told by, as an artefact for `decontaminate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.stage import Fold

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from corpusmill.dedup.matching.benchmark_parts import GramRules
    from corpusmill.pipelines.contract.documents import Documents


class BenchmarkGrams(Fold):
    """Collect what tells benchmark items (one document each) from other texts into an index.

    **Parts of an item**, each optional: *question*, the fields `question_fields`, or without any the whole
    text; one of fewer than `min_short_words` words with what follows it, the item's whole text or else its
    solutions. *Solution*, the fields `solution_fields`; short ones (`return a + b`) are common code, so they
    count towards overlap only. *Text*, what the reader made of the item, for grams across its parts.

    **Grams.** Runs of `n` words (`kernels/words.py`: folded; a Han or Kana character is a word). A question
    of fewer words is one gram of its own length, found only where all of it stands in a row; those still
    under `min_short_words` are counted in the summary alone. Solutions and texts under n words are not used.
    Grams without a word of two letters (or a Han or Kana character) are ignored, as counting and alphabets
    say nothing, and so are those in more than `max_items` items: instructions and options that many share. A
    question that loses over half its grams so is no longer looked for as a whole.

    **Anchors.** Runs of `anchor` words of a question without its numbers (`kernels/plain_words.py`), under
    the same two rules. Questions of fewer than n words without numbers, and those that keep under a quarter
    of their anchors, are looked for word by word alone.

    After marin's decontamination (13-grams, numeric grams ignored, boilerplate excluded); datatrove's has
    n = 12, only solutions and the seam between question and solution, and no exclusions. Memory of the fold:
    3 kB an item of the 16 parts that are combined at a time, and 43 kB an item while the index is written
    (7,840 items of 11 benchmarks).

    Artefact: arrays.npz (`matching/benchmark_index.ARRAYS`), and `index.json` with the options and the
    names of benchmarks and items. 3.6 kB an item, 5.2 kB in memory.
    """

    name: ClassVar[str] = "benchmark_grams"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    consumes: ClassVar[tuple[str, ...]] = ("text", "meta")

    n: int = Field(13, ge=2, le=100, description="Words of an n-gram (marin: 13; datatrove: 12).")
    anchor: int = Field(
        5,
        ge=2,
        le=100,
        description="Words, numbers left out, of the runs by which changed questions are found.",
    )
    min_short_words: int = Field(8, ge=1, description="Fewest words of a question that is looked for.")
    max_items: int = Field(10, ge=1, description="Most benchmark items that an n-gram may occur in.")
    question_fields: list[str] = Field(
        ["question", "problem", "prompt", "text", "informal_statement", "formal_statement"],
        description="Metadata fields whose text, or each of a list of texts, is a question; without any, the "
        "item's whole text is one.",
    )
    solution_fields: list[str] = Field(
        ["answer", "solution", "code", "canonical_solution", "informal_proof", "test_list"],
        description="Metadata fields whose text, or list of texts, is a solution.",
    )
    benchmark_fields: list[str] = Field(
        ["benchmark", "source", "dataset"],
        description="Metadata fields that name the benchmark, the first present; else the item's source.",
    )
    item_fields: list[str] = Field(
        ["id", "task_id"],
        description="Metadata fields that name the item, the first present; else the id of its document.",
    )

    @model_validator(mode="after")
    def _short_is_shorter(self) -> BenchmarkGrams:
        if self.min_short_words > self.n:
            raise ValueError(f"min_short_words ({self.min_short_words}) must not exceed n ({self.n})")
        return self

    def rules(self) -> GramRules:
        """The options, as `matching.benchmark_parts` takes them."""
        from corpusmill.dedup.matching.benchmark_parts import GramRules

        return GramRules(**{name: getattr(self, name) for name in type(self).model_fields})

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """One row a part of an item (`matching.benchmark_parts.PARTS`)."""
        from corpusmill.dedup.matching.benchmark_parts import parts_table

        return parts_table(self.rules(), batches)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """All rows of all parts; their order does not matter to `finish`."""
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the index; returns counts of items, questions and grams by benchmark.

        Raises DataError without any items, and for a benchmark of which nothing can be looked for.
        """
        from corpusmill.dedup.matching.benchmark_index import NOT_LOOKED_FOR, write_index
        from corpusmill.pipelines.contract.errors import DataError

        summary = write_index(self.rules(), part, folder)
        if not summary["benchmarks"]:
            raise DataError(
                "decontaminate: the benchmark files have no items; name other files in `against`, or take "
                "the section out"
            )
        for name in summary.pop(NOT_LOOKED_FOR):
            raise DataError(
                f"decontaminate: nothing of the benchmark {name} ({summary['benchmarks'][name]} items) can "
                f"be looked for: its questions have fewer than {self.min_short_words} words with all that "
                "follows them, or share them with too many items; name the fields in `question_fields` and "
                "`solution_fields`, lower `min_short_words`, or leave its files out of `against`"
            )
        return summary
