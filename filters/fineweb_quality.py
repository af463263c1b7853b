"""The quality rules of FineWeb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from corpusmill.filters.rules.limits import Limits, LimitsByLanguage, completed

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Columns, Documents

Share = Annotated[float, Field(ge=0.0, le=1.0)]


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

    Of the lines (cut at LF, CR LF or CR) that are not blank, in this order a document goes when (reason):

    - there are none (empty);
    - under `min_terminated_lines` of them end, as they stand, in a mark that ends a sentence in some script
      (line_punct_ratio);
    - over `max_short_lines` of them have at most `short_line` characters (short_line_ratio);
    - the characters of lines seen before exceed `max_duplicate_line_characters` of all characters
      other than line ends (char_dup_ratio);
    - line ends per token exceed `max_line_breaks_per_word` (list_ratio).

    Rules, order, strict comparisons and thresholds are datatrove 0.10's FineWebQualityFilter; it differs in
    its words (`kernels.words`; there: a spaCy tokenizer of one configured language), in that null
    switches a rule off, and in `by_language`: a Chinese line of 12 characters says as much as an English
    one of 30. `by_language: {}` judges all by the same limits. datatrove cuts at LF alone, so that there no
    line of a text with CR LF ends in a mark. Its `line_punct_exclude_zero` and `stop_chars` have no
    counterpart.
    """

    produces: ClassVar[tuple[str, ...]] = tuple(
        f"fineweb_quality.{score}"
        for score in (
            "terminated_lines", "short_lines", "duplicate_line_characters", "line_breaks_per_word", "limits",
        )
    )  # fmt: skip

    by_language: dict[str, FinewebQualityLimits] = Field(
        default={"zh": FinewebQualityLimits(short_line=12)},
        validate_default=True,
        description="Limits for documents of a language, by code; {}: the same limits for all languages.",
    )

    @field_validator("by_language")
    @classmethod
    def _complete(
        cls, value: dict[str, FinewebQualityLimits], info: ValidationInfo
    ) -> dict[str, FinewebQualityLimits]:
        return completed(value, info.data)

    def score(self, docs: Documents) -> Columns:
        """Ratios double[n]; those of lines are null where all lines are blank."""
        import numpy as np

        from corpusmill.filters.kernels import fineweb as kernel
        from corpusmill.filters.kernels.characters import character_table
        from corpusmill.filters.kernels.lines import with_line_feeds
        from corpusmill.filters.rules.limits import alternatives, chosen_limits, limit_numbers, ratio

        limits = chosen_limits(docs, self.by_language)
        short = np.array(alternatives(self, "short_line", self.by_language), np.int64)
        c = kernel.fineweb_counts(
            character_table(), *with_line_feeds(*docs.utf8()), short[limit_numbers(limits, self.by_language)]
        ).T
        return {
            "terminated_lines": ratio(c[kernel.TERMINATED], c[kernel.LINES]),
            "short_lines": ratio(c[kernel.SHORT], c[kernel.LINES]),
            "duplicate_line_characters": ratio(c[kernel.DUPLICATE_CHARACTERS], c[kernel.CHARACTERS]),
            "line_breaks_per_word": ratio(c[kernel.FEEDS], c[kernel.TOKENS]),
            "limits": limits,
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        import numpy as np

        from corpusmill.filters.rules.limits import floats, limit
        from corpusmill.pipelines.contract.documents import reason_where

        s = {name: floats(column) for name, column in scores.items() if name != "limits"}
        by = {name: limit(self, name, scores, self.by_language) for name in FinewebQualityLimits.model_fields}
        return reason_where(
            (np.isnan(s["terminated_lines"]), "empty"),
            (s["terminated_lines"] < by["min_terminated_lines"], "line_punct_ratio"),
            (s["short_lines"] > by["max_short_lines"], "short_line_ratio"),
            (s["duplicate_line_characters"] > by["max_duplicate_line_characters"], "char_dup_ratio"),
            (s["line_breaks_per_word"] > by["max_line_breaks_per_word"], "list_ratio"),
        )

    def warm(self) -> None:
        """Compile the kernel."""
        from corpusmill.filters.rules.sample import sample_documents

        self.score(sample_documents())
