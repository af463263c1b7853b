"""The quality rules of Gopher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from corpusmill.filters.rules.limit_files import shipped_limits
from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage, Scaling, Share
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import over, ratio, under
from corpusmill.pipelines.text.bounds import bounds_of


class GopherQualityLimits(Limits):
    """Limits of the Gopher quality rules; null switches a rule off."""

    min_words: int | None = Field(
        50, ge=0, description="Fewest words of a document (Rae et al. 2021: 50); null: no limit."
    )
    max_words: int | None = Field(
        100_000, ge=0, description="Most words of a document (Rae et al. 2021: 100,000); null: no limit."
    )
    min_mean_word_length: float | None = Field(
        3.0, ge=0, description="Least mean length of words, in characters (Rae et al. 2021: 3)."
    )
    max_mean_word_length: float | None = Field(
        10.0, ge=0, description="Largest mean length of words, in characters (Rae et al. 2021: 10)."
    )
    max_symbols_per_word: float | None = Field(
        0.1, ge=0, description="Most hash signs, and most ellipses, per token (Rae et al. 2021: 0.1)."
    )
    max_bullet_lines: Share | None = Field(
        0.9, description="Largest share of lines that start with a bullet (Rae et al. 2021: 0.9)."
    )
    max_ellipsis_lines: Share | None = Field(
        0.3, description="Largest share of lines that end in an ellipsis (Rae et al. 2021: 0.3)."
    )
    min_alphabetic_words: Share | None = Field(
        0.8, description="Least share of tokens that hold a letter (Rae et al. 2021: 0.8)."
    )
    min_stop_words: int | None = Field(
        2, ge=0, description="Fewest distinct words of `stop_words` (Rae et al. 2021: 2); null: no limit."
    )
    stop_words: tuple[str, ...] = Field(
        ("the", "be", "to", "of", "and", "that", "have", "with"),
        description="Words that running text holds, case-sensitive, each one token (Rae et al. 2021).",
    )


class GopherQuality(LimitsByLanguage, GopherQualityLimits):
    """Remove documents that fail a quality rule of Gopher (Rae et al. 2021, arXiv 2112.11446, A1.1).

    Tokens are those of `text.kernels.words`; a *word* here is a token not made of symbols only. In this
    order, a document goes when (reason):

    - it has under `min_words` (gopher_short_doc) or over `max_words` words (gopher_long_doc);
    - the mean length of its words in characters is below `min_mean_word_length` (gopher_below_avg_threshold)
      or above `max_mean_word_length` (gopher_above_avg_threshold);
    - `#` (gopher_too_many_hashes), or `...` and U+2026 (gopher_too_many_ellipsis), per token exceed
      `max_symbols_per_word`;
    - more than `max_bullet_lines` of its lines start with U+2022 or `-` (gopher_too_many_bullets), or more
      than `max_ellipsis_lines` end with an ellipsis (gopher_too_many_end_ellipsis);
    - under `min_alphabetic_words` of its tokens hold a letter (gopher_below_alpha_threshold);
    - it holds under `min_stop_words` distinct words of `stop_words`, case-sensitive (gopher_few_stop_words).

    Rules, order, strict comparisons and thresholds are datatrove 0.10's GopherQualityFilter, of which
    `max_symbol_word_ratio`, `max_non_alpha_words_ratio` (a minimum, there too) and the reason
    `gopher_enough_stop_words` go by clearer names here. It differs in that 0 is a limit and null is off;
    that a ratio over nothing is null and breaks no rule (there: division by zero); in its words (there: a
    spaCy tokenizer of one configured language); and in the limits by language, which are ours
    (`filters/limits/gopher_quality.yaml` has their origins): the limits above are for `languages`, documents
    of a language without limits are kept, and `by_language: {}` judges all by the same, as datatrove.
    A stop word must be one token by itself.
    """

    languages: Languages = ("en",)
    by_language: ByLanguage[GopherQualityLimits] = Field(
        shipped_limits("gopher_quality", GopherQualityLimits)
    )

    scaled: ClassVar[Mapping[str, Scaling]] = {
        "min_words": "tokens",
        "max_words": "tokens",
        "min_mean_word_length": "word_length",
        "max_mean_word_length": "word_length",
    }

    rules = (
        under("words", "min_words", "gopher_short_doc"),
        over("words", "max_words", "gopher_long_doc"),
        under("mean_word_length", "min_mean_word_length", "gopher_below_avg_threshold"),
        over("mean_word_length", "max_mean_word_length", "gopher_above_avg_threshold"),
        over("hashes_per_word", "max_symbols_per_word", "gopher_too_many_hashes"),
        over("ellipses_per_word", "max_symbols_per_word", "gopher_too_many_ellipsis"),
        over("bullet_lines", "max_bullet_lines", "gopher_too_many_bullets"),
        over("ellipsis_lines", "max_ellipsis_lines", "gopher_too_many_end_ellipsis"),
        under("alphabetic_words", "min_alphabetic_words", "gopher_below_alpha_threshold"),
        under("stop_words", "min_stop_words", "gopher_few_stop_words"),
    )

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """Word count int64[n], distinct stop words int64[n], mean length and ratios double[n]."""
        from corpusmill.filters.kernels.gopher_quality import GopherCounts, gopher_counts, vocabulary_hashes

        bounds = bounds_of(docs)
        hashes = [vocabulary_hashes(words) for words in self.alternatives("stop_words")]
        ends = np.cumsum([0, *map(len, hashes)])
        found = np.zeros((len(GopherCounts._fields), len(docs)), np.int64)
        seen = np.full(ends[-1], -1)
        for first, part in bounds.parts():
            rows = slice(first, first + len(part.texts.starts))
            found[:, rows] += gopher_counts(*part, numbers[rows], ends, np.concatenate(hashes), seen, first)
        c = GopherCounts(*found)
        return {
            "words": c.words,
            "mean_word_length": ratio(c.word_characters, c.words),
            "hashes_per_word": ratio(c.hash_signs, c.tokens),
            "ellipses_per_word": ratio(c.ellipses, c.tokens),
            "bullet_lines": ratio(c.bullets, c.lines),
            "ellipsis_lines": ratio(c.ellipsis_ends, c.lines),
            "alphabetic_words": ratio(c.with_letter, c.tokens),
            "stop_words": c.stop_words,
        }
