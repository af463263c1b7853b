"""The repetition rules of Gopher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from corpusmill.filters.rules.limit_files import shipped_limits
from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage, Scaling
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import Rule, missing, over, ratio
from corpusmill.pipelines.text.bounds import bounds_of

Share = Annotated[float, Field(ge=0.0)]
LONGEST = 32
Length = Annotated[int, Field(ge=1, le=LONGEST)]


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

    Paragraphs are cut at two or more line ends (LF, CR LF, CR, NEL, U+2028 or U+2029; in datatrove LF alone)
    of the text without its outer white space; lines at one or more of the text as it is. A first occurrence
    is no duplicate. Shares of characters are of all characters, white space included, a line end being one.
    Top n-grams are counted with one space between words, overlaps included, a single occurrence too;
    duplicate n-grams without spaces, and after a hit n words are skipped.

    Definitions, order, strict comparisons and thresholds are datatrove 0.10's GopherRepetitionFilter. It
    differs in its words (`text.kernels.words`; there: a spaCy tokenizer of one configured language); in that
    n-grams are equal when all their words are (there also when only their joined letters are); and in that
    0 is a limit and null is off. `by_language` replaces limits for documents of a language
    (`filters/limits/gopher_repetition.yaml` has their origins); in Chinese and Japanese a word is one
    character, so n-grams are longer. The limits above are for `languages`, documents of a language without
    limits are kept, and `by_language: {}` judges all by the same limits.
    """

    languages: Languages = ("en",)
    by_language: ByLanguage[GopherRepetitionLimits] = Field(
        shipped_limits("gopher_repetition", GopherRepetitionLimits)
    )

    scaled: ClassVar[Mapping[str, Scaling]] = {"max_top_ngrams": "tokens", "max_duplicate_ngrams": "tokens"}

    # After these, `top_<n>_gram` and `duplicate_<n>_gram` for every n of the options.
    rules = (
        missing("duplicate_lines", "empty"),
        over("duplicate_paragraphs", "max_duplicate_paragraphs", "dup_para_frac"),
        over("duplicate_paragraph_characters", "max_duplicate_paragraph_characters", "dup_para_char_frac"),
        over("duplicate_lines", "max_duplicate_lines", "dup_line_frac"),
        over("duplicate_line_characters", "max_duplicate_line_characters", "dup_line_char_frac"),
    )

    def listed_rules(self) -> tuple[Rule, ...]:
        """The rules of `rules`, and those of n-grams."""
        tops, duplicates = self._lengths("max_top_ngrams"), self._lengths("max_duplicate_ngrams")
        return (
            *self.rules,
            *(over(f"top_{n}_gram", f"max_top_ngrams.{n}", f"top_{n}_gram") for n in tops),
            *(
                over(f"duplicate_{n}_gram", f"max_duplicate_ngrams.{n}", f"duplicated_{n}_n_grams")
                for n in duplicates
            ),
        )

    def _lengths(self, option: str) -> list[int]:
        """Every n of an option, whatever the language, ascending."""
        return sorted({n for limits in self.alternatives(option) for n in limits})

    def _wanted(self, option: str) -> tuple[list[int], npt.NDArray[np.bool_]]:
        """Every n of an option, and by number of limits whether they have a rule for it: bool[V, 33]."""
        wanted = np.zeros((len(self.alternatives(option)), LONGEST + 1), np.bool_)
        for number, limits in enumerate(self.alternatives(option)):
            wanted[number, list(limits)] = True
        return self._lengths(option), wanted

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """Shares double[n], null for an empty text, and of n-grams that the document's language has no
        rule for.
        """
        from corpusmill.filters.kernels import large_ngrams
        from corpusmill.filters.kernels.ngrams import ngram_characters
        from corpusmill.filters.kernels.repetition import RepetitionCounts, repetition_counts
        from corpusmill.filters.rules.large_repetition import large_counts

        bounds = bounds_of(docs)
        tops, top_wanted = self._wanted("max_top_ngrams")
        duplicates, duplicate_wanted = self._wanted("max_duplicate_ngrams")
        ordinary = bounds.ordinary
        counts = np.array(repetition_counts(ordinary.texts, ordinary.lines))
        top, duplicate = ngram_characters(ordinary.words, numbers, top_wanted, duplicate_wanted)
        for text in bounds.large:
            row, number = text.row, numbers[text.row]
            counts[:, row] = large_counts(text)
            top[:, row], duplicate[:, row] = large_ngrams.ngram_characters(
                text, top_wanted[number], duplicate_wanted[number]
            )
        c = RepetitionCounts(*counts)
        some = c.characters > 0

        def share(covered: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> pa.Array:
            return ratio(covered, c.characters * wanted[numbers])

        return {
            "duplicate_paragraphs": ratio(c.repeated_paragraphs, c.paragraphs * some),
            "duplicate_paragraph_characters": ratio(c.repeated_paragraph_characters, c.characters),
            "duplicate_lines": ratio(c.repeated_lines, c.lines * some),
            "duplicate_line_characters": ratio(c.repeated_line_characters, c.characters),
            **{f"top_{n}_gram": share(top[n], top_wanted[:, n]) for n in tops},
            **{f"duplicate_{n}_gram": share(duplicate[n], duplicate_wanted[:, n]) for n in duplicates},
        }
