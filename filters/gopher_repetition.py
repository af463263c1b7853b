"""The repetition rules of Gopher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from corpusmill.filters.rules.limits import Limits, LimitsByLanguage, completed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Columns, Documents

Share = Annotated[float, Field(ge=0.0)]
Length = Annotated[int, Field(ge=1, le=32)]


class GopherRepetitionLimits(Limits):
    """Limits of the Gopher repetition rules; null switches a rule off, an n left out is not looked at."""

    max_duplicate_paragraphs: Share | None = Field(
        0.3, description="Largest share of paragraphs that repeat an earlier one (Rae et al. 2021: 0.3)."
    )
    max_duplicate_paragraph_characters: Share | None = Field(
        0.2, description="Largest share of characters in paragraphs that repeat one (Rae et al. 2021: 0.2)."
    )
    max_duplicate_lines: Share | None = Field(
        0.3, description="Largest share of lines that repeat an earlier one (Rae et al. 2021: 0.3)."
    )
    max_duplicate_line_characters: Share | None = Field(
        0.2, description="Largest share of characters in lines that repeat one (Rae et al. 2021: 0.2)."
    )
    max_top_ngrams: dict[Length, Share] = Field(
        {2: 0.20, 3: 0.18, 4: 0.16},
        description="Largest share of characters in the most frequent n-gram, by n words (Rae et al. 2021).",
    )
    max_duplicate_ngrams: dict[Length, Share] = Field(
        {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
        description="Largest share of characters in n-grams seen before, by n words (Rae et al. 2021).",
    )


class GopherRepetition(LimitsByLanguage, GopherRepetitionLimits):
    """Remove documents that repeat themselves (Rae et al. 2021, arXiv 2112.11446, A1.1, table A1).

    In this order, a document goes when (reason):

    - it is empty (empty);
    - over `max_duplicate_paragraphs` of its paragraphs repeat an earlier one (dup_para_frac), or their
      characters exceed `max_duplicate_paragraph_characters` of the document's (dup_para_char_frac);
    - the same holds of its lines (dup_line_frac, dup_line_char_frac);
    - for an n of `max_top_ngrams`, the occurrences of its most frequent word n-gram, the earliest among
      equals, cover a larger share of its characters (top_<n>_gram);
    - for an n of `max_duplicate_ngrams`, word n-grams seen before do (duplicated_<n>_n_grams).

    Paragraphs are cut at two or more line ends (LF, CR LF or CR) of the text without its outer white space;
    lines at one or more of the text as it is. A first occurrence is no duplicate. Shares of characters are of
    all characters, white space included, a line end being one. Top n-grams are counted with one space between
    words, overlaps included, a single occurrence too; duplicate n-grams without spaces, and after a hit n
    words are skipped.

    Definitions, order, strict comparisons and thresholds are datatrove 0.10's GopherRepetitionFilter. It
    differs in its words (`kernels.words`; there: a spaCy tokenizer of one configured language); in that
    n-grams are equal when all their words are (there also when only their joined letters are); and in that
    0 is a limit and null is off. `by_language` replaces limits for documents of a language; in Chinese a
    word is one character, so the n-grams of its entry are longer. `by_language: {}` judges all by the same
    limits.
    """

    # Beside these, `top_<n>_gram` and `duplicate_<n>_gram` for every n of the options.
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"gopher_repetition.{score}"
        for score in (
            "duplicate_paragraphs", "duplicate_paragraph_characters", "duplicate_lines",
            "duplicate_line_characters", "limits",
        )
    )  # fmt: skip

    by_language: dict[str, GopherRepetitionLimits] = Field(
        default={
            "zh": GopherRepetitionLimits(
                max_top_ngrams={3: 0.20, 5: 0.18, 6: 0.16},
                max_duplicate_ngrams={8: 0.15, 10: 0.14, 11: 0.13, 13: 0.12, 14: 0.11, 16: 0.10},
            )
        },
        validate_default=True,
        description="Limits for documents of a language, by code; {}: the same limits for all languages.",
    )

    @field_validator("by_language")
    @classmethod
    def _complete(
        cls, value: dict[str, GopherRepetitionLimits], info: ValidationInfo
    ) -> dict[str, GopherRepetitionLimits]:
        return completed(value, info.data)

    def _lengths(self, option: str) -> list[int]:
        """Every n of an option, whatever the language, ascending."""
        from corpusmill.filters.rules.limits import alternatives

        return sorted({n for limits in alternatives(self, option, self.by_language) for n in limits})

    def _limit_of(self, option: str, n: int, scores: Columns) -> npt.NDArray[np.float64]:
        import numpy as np

        from corpusmill.filters.rules.limits import alternatives, limit_numbers

        values = [limits.get(n, np.nan) for limits in alternatives(self, option, self.by_language)]
        return np.array(values, np.float64)[limit_numbers(scores["limits"], self.by_language)]

    def score(self, docs: Documents) -> Columns:
        """Shares double[n], null for an empty text; of an n-gram also where another language has its rule."""
        import numpy as np

        from corpusmill.filters.kernels import repetition as kernel
        from corpusmill.filters.kernels.characters import character_table
        from corpusmill.filters.kernels.lines import count_characters, with_line_feeds
        from corpusmill.filters.rules.limits import chosen_limits, ratio

        table = character_table()
        offsets, data = with_line_feeds(*docs.utf8())
        tops, duplicates = self._lengths("max_top_ngrams"), self._lengths("max_duplicate_ngrams")
        wanted = np.zeros((2, max([0, *tops, *duplicates]) + 1), np.bool_)
        wanted[0, tops] = True
        wanted[1, duplicates] = True
        characters = count_characters(offsets, data)
        paragraphs = kernel.duplicate_spans(table, offsets, data, 2, True).T
        lines = kernel.duplicate_spans(table, offsets, data, 1, False).T
        top, duplicate = kernel.ngram_characters(table, offsets, data, wanted[0], wanted[1])
        return {
            "duplicate_paragraphs": ratio(paragraphs[1], paragraphs[0] * (characters > 0)),
            "duplicate_paragraph_characters": ratio(paragraphs[2], characters),
            "duplicate_lines": ratio(lines[1], lines[0] * (characters > 0)),
            "duplicate_line_characters": ratio(lines[2], characters),
            **{f"top_{n}_gram": ratio(top[:, n], characters) for n in tops},
            **{f"duplicate_{n}_gram": ratio(duplicate[:, n], characters) for n in duplicates},
            "limits": chosen_limits(docs, self.by_language),
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        import numpy as np

        from corpusmill.filters.rules.limits import floats, limit
        from corpusmill.pipelines.contract.documents import reason_where

        def over(score: str, option: str) -> npt.NDArray[np.bool_]:
            return floats(scores[score]) > limit(self, option, scores, self.by_language)

        def ngrams_over(score: str, option: str, n: int) -> npt.NDArray[np.bool_]:
            return floats(scores[score]) > self._limit_of(option, n, scores)

        return reason_where(
            (np.isnan(floats(scores["duplicate_lines"])), "empty"),
            (over("duplicate_paragraphs", "max_duplicate_paragraphs"), "dup_para_frac"),
            (
                over("duplicate_paragraph_characters", "max_duplicate_paragraph_characters"),
                "dup_para_char_frac",
            ),
            (over("duplicate_lines", "max_duplicate_lines"), "dup_line_frac"),
            (over("duplicate_line_characters", "max_duplicate_line_characters"), "dup_line_char_frac"),
            *(
                (ngrams_over(f"top_{n}_gram", "max_top_ngrams", n), f"top_{n}_gram")
                for n in self._lengths("max_top_ngrams")
            ),
            *(
                (ngrams_over(f"duplicate_{n}_gram", "max_duplicate_ngrams", n), f"duplicated_{n}_n_grams")
                for n in self._lengths("max_duplicate_ngrams")
            ),
        )

    def warm(self) -> None:
        """Compile the kernels."""
        from corpusmill.filters.rules.sample import sample_documents

        self.score(sample_documents())
