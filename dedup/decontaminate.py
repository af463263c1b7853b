"""Documents that hold benchmark items."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Filter

LEAST_ANCHORS = 0.15  # share of a question's anchors close together at which it is aligned
LEAST_WORDS = 0.5  # share of its plain words found at which its alignment is a score

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.dedup.kernels.benchmark_scan import Scan
    from corpusmill.dedup.matching.benchmark_index import Index
    from corpusmill.dedup.matching.found_items import Limits
    from corpusmill.pipelines.contract.documents import Columns, Documents


class Decontaminate(Filter):
    """Remove documents that hold benchmark questions or solutions, in the words of the items or changed.

    Scores, from the document's words and a `benchmark_grams` index (which fixes n); docs/decontamination.md
    says how they are found:

    - `hits`: positions at which a gram of the index stands. `overlap`: the largest share of words covered by
      grams among any `window` words in a row of one paragraph (two line breaks end one; one shorter than the
      window counts as at least 2n words). `contained`: the largest share of one question's distinct grams
      found anywhere.
    - `matched`: the largest share of one question's words, numbers apart, that stand in order in one place,
      or of that place's if there are more of them; 0 if it is under a half. `numbers`: the share of its
      numbers that stand between the same words; null if it has none.
    - `match`: `verbatim`; `variant`, if numbers differ and all other words do not, or over half of the
      numbers and more than one; `altered`, if words differ; `part`, if grams of a solution or of a part of a
      question cover a window.
    - `benchmark` and `item`: names of the question matched, else of the one contained, or, where overlap is
      the larger, of most hits. `items` and `item_benchmarks`: all that reach a limit, the best first.

    `rule: overlap` removes where `overlap` or `contained` (marin's design, on windows instead of paragraphs)
    or `matched` reaches its option. `rule: any_hit` removes at the first hit, as datatrove does (there with
    12-grams of solutions: give `benchmark_grams` n = 12). Reason `contaminated`. `action: mark` removes
    nothing. `action: cut` keeps the rest of the document, with `spans` (byte and end in the text as it came,
    benchmark, item) and `outcome` (`cut`; `emptied` and, where `cut_passages.ROUNDS` cuts are not enough,
    `contaminated`, which are removed). Languages: all; a Han or Kana character counts as a word. Linear time.

    Raises at start, not while running, if the window is shorter than 2n words.
    """

    name: ClassVar[str] = "decontaminate"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("benchmarks",)

    rule: Literal["overlap", "any_hit"] = Field(
        "overlap", description="Remove by overlap or containment (marin), or at any n-gram found (datatrove)."
    )
    action: Literal["drop", "cut", "mark"] = Field(
        "drop",
        description="Remove documents (drop), cut out what was found (cut), or only keep its scores (mark).",
    )
    cut_to: Literal["paragraph", "line", "words"] = Field(
        "paragraph", description="What `action: cut` cuts whole: paragraphs, lines, or the words found."
    )
    margin: int = Field(
        0,
        ge=0,
        description="Further paragraphs, lines or words that are cut before and after what was found.",
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
    altered: float = Field(
        0.8,
        gt=0.5,
        le=1,
        description="Share of a question's words that removes: in order, in one place, some of them changed.",
    )
    variant: float = Field(
        0.96,
        gt=0.5,
        le=1,
        description="The same where its numbers are others: share of its other words.",
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
        """`hits` int32, `overlap`, `contained`, `matched` and `numbers` float64, `match`, `benchmark` and
        `item` string, `items` and `item_benchmarks` lists of strings; to cut, `outcome` and `spans` besides.
        """
        from corpusmill.dedup.matching.found_items import columns

        index = self._index
        if index is None:
            raise RuntimeError("decontaminate needs prepare(context) before it can score")
        offsets, data = docs.utf8()
        found = self._scan(offsets, data, index)
        scores = columns(found, index, self._limits())
        if self.action != "cut":
            return scores
        from corpusmill.dedup.matching.cut_passages import cut_passages

        def look(
            offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
        ) -> tuple[Scan, npt.NDArray[np.bool_]]:
            found = self._scan(offsets, data, index)
            return found, _are(self._reached(columns(found, index, self._limits())))

        reached = _are(self._reached(scores))
        return {
            **scores,
            **cut_passages(
                offsets, data, found, reached, index, self._limits(), look, self.cut_to, self.margin
            ),
        }

    def _scan(self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], index: Index) -> Scan:
        from corpusmill.dedup.kernels.benchmark_scan import scan
        from corpusmill.dedup.matching.normal_forms import normal_forms

        return scan(
            offsets,
            data,
            normal_forms(True),
            index.grams,
            index.questions,
            self.window,
            2 * index.n,
            LEAST_ANCHORS,
            LEAST_WORDS,
        )

    def _limits(self) -> Limits:
        import sys

        from corpusmill.dedup.matching.found_items import Limits

        least = self.overlap if self.rule == "overlap" else sys.float_info.min
        return Limits(least, self.contained, self.altered, self.variant)

    def judge(self, scores: Columns) -> pa.Array:
        """`contaminated` by the rule, from the scores alone."""
        from corpusmill.pipelines.contract.documents import nothing, reason_where

        if self.action == "mark":
            return nothing(len(scores["hits"]))
        if self.action == "drop":
            return self._reached(scores)
        import numpy as np

        outcome = np.asarray(scores["outcome"], object)
        return reason_where(*((outcome == reason, reason) for reason in ("emptied", "contaminated")))

    def cuts(self, scores: Columns) -> pa.Table | None:
        """The `spans`, each told by its item, for the reason `contaminated`."""
        from corpusmill.dedup.matching.cut_passages import edits

        return edits(scores) if self.action == "cut" else None

    def _reached(self, scores: Columns) -> pa.Array:
        import numpy as np

        from corpusmill.pipelines.contract.documents import reason_where

        if self.rule == "any_hit":
            return reason_where((np.asarray(scores["hits"]) > 0, "contaminated"))
        matched = np.asarray(scores["matched"])
        variant = np.asarray(scores["match"]) == "variant"
        return reason_where(
            (np.asarray(scores["overlap"]) >= self.overlap, "contaminated"),
            (np.asarray(scores["contained"]) >= self.contained, "contaminated"),
            (matched >= np.where(variant, self.variant, self.altered), "contaminated"),
        )


def _are(reasons: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = reasons.is_valid().to_numpy(zero_copy_only=False)
    return found
