"""The quality rules of FineWeb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from corpusmill.filters.rules.limit_files import shipped_limits
from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage, Scaling, Share
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import missing, over, ratio, under
from corpusmill.pipelines.text.bounds import bounds_of


class FinewebQualityLimits(Limits):
    """Limits of the FineWeb quality rules; null switches a rule off."""

    min_terminated_lines: Share | None = Field(
        0.12, description="Least share of lines that end in a mark that ends a sentence (FineWeb: 0.12)."
    )
    max_short_lines: Share | None = Field(
        0.67, description="Largest share of lines of at most `short_line` characters (FineWeb: 0.67)."
    )
    short_line: int = Field(30, ge=0, description="Most characters of a line that is short (FineWeb: 30).")
    max_duplicate_line_characters: Share | None = Field(
        0.01, description="Largest share of characters that stand in lines seen before (FineWeb: 0.01)."
    )
    max_line_breaks_per_word: float | None = Field(
        0.3, ge=0, description="Most line ends per token (FineWeb: 0.3); null: no limit."
    )


class FinewebQuality(LimitsByLanguage, FinewebQualityLimits):
    """Remove documents that fail a rule of FineWeb (Penedo et al. 2024, arXiv 2406.17557, section 3.6).

    Of the lines (cut at LF, CR LF, CR, NEL, U+2028 or U+2029) that are not blank, in this order a document
    goes when (reason):

    - there are none (empty);
    - under `min_terminated_lines` of them end, as they stand, in a mark that ends a sentence in some script
      (line_punct_ratio);
    - over `max_short_lines` of them have at most `short_line` characters (short_line_ratio);
    - the characters of lines seen before exceed `max_duplicate_line_characters` of all characters
      other than line ends (char_dup_ratio);
    - line ends per token exceed `max_line_breaks_per_word` (list_ratio).

    Rules, order, strict comparisons and thresholds are datatrove 0.10's FineWebQualityFilter; it differs in
    its words (`text.kernels.words`; there: a spaCy tokenizer of one configured language), in that null
    switches a rule off, and in the limits by language, which are ours (`filters/limits/fineweb_quality.yaml`
    has their origins; a Japanese line of 12 characters says as much as an English one of 30): those above are
    for `languages`, documents of a language without limits are kept, and `by_language: {}` judges all by the
    same limits. datatrove cuts at LF alone, so that there no line of a text with CR LF ends in a mark, and a
    text with NEL or U+2028 is one line. Its `line_punct_exclude_zero` and `stop_chars` have no counterpart.
    """

    languages: Languages = ("en",)
    by_language: ByLanguage[FinewebQualityLimits] = Field(
        shipped_limits("fineweb_quality", FinewebQualityLimits)
    )

    scaled: ClassVar[Mapping[str, Scaling]] = {"short_line": "characters"}

    rules = (
        missing("terminated_lines", "empty"),
        under("terminated_lines", "min_terminated_lines", "line_punct_ratio"),
        over("short_lines", "max_short_lines", "short_line_ratio"),
        over("duplicate_line_characters", "max_duplicate_line_characters", "char_dup_ratio"),
        over("line_breaks_per_word", "max_line_breaks_per_word", "list_ratio"),
    )

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """Ratios double[n]; those of lines are null where all lines are blank."""
        from corpusmill.filters.kernels.fineweb import FinewebCounts, fineweb_counts

        bounds = bounds_of(docs)
        short = np.array(self.alternatives("short_line"), np.int64)[numbers]
        found = np.zeros((len(FinewebCounts._fields), len(docs)), np.int64)
        for first, texts, lines in bounds.line_parts():
            rows = slice(first, first + len(texts.starts))
            found[:, rows] += fineweb_counts(texts, lines, short[rows])
        c = FinewebCounts(*found)
        return {
            "terminated_lines": ratio(c.terminated, c.lines),
            "short_lines": ratio(c.short, c.lines),
            "duplicate_line_characters": ratio(c.duplicate_characters, c.characters),
            "line_breaks_per_word": ratio(c.line_feeds, bounds.token_counts()),
        }
