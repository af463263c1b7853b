"""Documents that hold benchmark items."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Filter

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.dedup.matching.benchmark_index import Index
    from corpusmill.pipelines.contract.documents import Columns, Documents


class Decontaminate(Filter):
    """Remove documents that hold benchmark questions or solutions, told by the word n-grams they share.

    Scores, from the document's words and the grams of a `benchmark_grams` index (which fixes their `n`):

    - `hits`: positions at which a gram of the index stands.
    - `overlap`: the largest share of words covered by such grams among any `window` words in a row of one
      paragraph. Paragraphs end where two line breaks stand between words; one shorter than the window is
      taken whole, with its length taken as at least 2n words, so that one gram across short lines is not
      all of a line. Grams may run across paragraphs; they cover the words they cover.
    - `contained`: the largest share of one benchmark question's distinct grams found anywhere in the
      document: 1.0 is the whole question, however long the document and its paragraphs are.
    - `benchmark`: name of the benchmark of that question, or, where overlap is the larger, of most hits.

    `rule: overlap` (marin's design) removes where either share reaches its option, so that a passing
    quotation or a common phrase of n words does not cost a document. marin measures whole paragraphs by the
    share of n-grams; windows of words see a question in a page without paragraphs. `rule: any_hit` removes
    at the first hit, as datatrove does (there with 12-grams of solutions: give `benchmark_grams` n = 12).
    Reason `contaminated`. Languages: all; a Han or Kana character counts as a word.

    Raises at start, not while running, if the window is shorter than 2n words.
    """

    name: ClassVar[str] = "decontaminate"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("benchmarks",)

    rule: Literal["overlap", "any_hit"] = Field(
        "overlap", description="Remove by overlap or containment (marin), or at any n-gram found (datatrove)."
    )
    overlap: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of covered words in a window that removes (marin: 0.5 of n-grams).",
    )
    contained: float = Field(
        0.8, gt=0, le=1, description="Share of the n-grams of one question that removes the document."
    )
    window: int = Field(64, ge=4, description="Words of a window; at least twice the n of the n-grams.")

    _index: Index | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        """With the index loaded. Raises RecipeError if the window is too short for its grams."""
        from corpusmill.dedup.matching.benchmark_index import load_index
        from corpusmill.pipelines.contract.errors import RecipeError

        index = load_index(context.artefact("benchmarks", "index.json").parent)
        if self.window < 2 * index.n:
            raise RecipeError(
                f"decontaminate: window is {self.window} words, less than twice the index's n = {index.n}; "
                f"set window to {2 * index.n} or more, or n of benchmark_grams to {self.window // 2} or less"
            )
        ready = self.model_copy()
        ready._index = index
        return ready

    def warm(self) -> None:
        """Compile the scan on no documents."""
        from corpusmill.dedup.matching.benchmark_index import empty_index
        from corpusmill.pipelines.contract.documents import SCHEMA, Documents

        ready = self.model_copy()
        ready._index = self._index or empty_index()
        ready.score(Documents(SCHEMA.empty_table()))

    def score(self, docs: Documents) -> Columns:
        """`hits` int32, `overlap` and `contained` float64, `benchmark` string (null without a hit)."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.dedup.kernels.grams import scan
        from corpusmill.dedup.matching.normal_forms import normal_forms

        index = self._index
        if index is None:
            raise RuntimeError("decontaminate needs prepare(context) before it can score")
        hits, overlap, contained, benchmark = scan(
            *docs.utf8(),
            normal_forms(True),
            index.lengths,
            index.grams,
            index.head,
            index.sieve,
            index.gram_benchmarks,
            index.gram_starts,
            index.gram_questions,
            index.question_sizes,
            index.question_benchmarks,
            len(index.benchmarks),
            self.window,
            2 * index.n,
        )
        names = pa.array(index.benchmarks, pa.string())
        return {
            "hits": hits.astype(np.int32),
            "overlap": overlap,
            "contained": contained,
            "benchmark": names.take(pa.array(benchmark, mask=benchmark < 0)),
        }

    def judge(self, scores: Columns) -> pa.Array:
        """`contaminated` by the rule, from the scores alone."""
        import numpy as np

        from corpusmill.pipelines.contract.documents import reason_where

        if self.rule == "any_hit":
            return reason_where((np.asarray(scores["hits"]) > 0, "contaminated"))
        return reason_where(
            (np.asarray(scores["overlap"]) >= self.overlap, "contaminated"),
            (np.asarray(scores["contained"]) >= self.contained, "contaminated"),
        )
