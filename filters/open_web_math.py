"""`open_web_math`: the rules of OpenWebMath that need no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from corpusmill.filters.rules.limits import Share
from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats, ratio
from corpusmill.pipelines.contract.stage import Filter

if TYPE_CHECKING:
    import pyarrow as pa


class OpenWebMath(Filter):
    """Keep what OpenWebMath's rules keep of mathematical pages in English.

    OpenWebMath (Paster et al. 2023, arXiv 2310.06786) prefilters pages by marks of formulas, keeps English,
    asks a classifier (MathScore, at least 0.17) and a language model (perplexity of at
    most 15,000), and inspects what is left (`filtering/filter_dataset.py`). Here are its prefilter and what
    the inspection does without lists of sites, in this order; a document is removed when (reason):

    - it holds neither a mark of software that shows formulas nor a command of LaTeX (no_mathematics;
      `rules/web_math_rules.py`): asked of the text here, of the page there;
    - it has under `min_characters`, lines that define two macros and more apart (short);
    - it comes from LibreTexts, other than mathematics, physics and statistics, and has no formula between
      dollars (no_formulas);
    - too many of its characters are accented (accents).

    `language`, `fasttext_score`, `perplexity` or `kenlm_perplexity` and `url_rules` do the rest, with your
    models and lists. Differences: lines of macros do not count but stay. null switches a rule off.
    """

    measured: ClassVar[tuple[str, ...]] = ()
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"open_web_math.{name}"
        for name in ("mathematics", "characters", "libretexts", "formulas", "accented")
    )

    needs_mathematics: bool = Field(
        True, description="Remove documents without marks of mathematics (OpenWebMath's prefilter)."
    )
    min_characters: int | None = Field(
        100, ge=0, description="Fewest characters of a document (OpenWebMath: 100)."
    )
    needs_formulas: bool = Field(
        True, description="Remove pages of LibreTexts' other subjects that have no formula (OpenWebMath)."
    )
    max_accented: Share | None = Field(
        0.015, description="Largest share of accented characters (OpenWebMath: 0.015, to keep English)."
    )

    def score(self, docs: Documents) -> Columns:
        """`mathematics` and `libretexts` bool[n]; characters and formulas int64[n]; `accented` double[n]."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.web_math_rules import (
            ACCENTED,
            FORMULA,
            LAST_MACROS,
            MACROS,
            PAGE_INDICES,
            WORDS,
        )

        texts = pc.fill_null(docs.text, "")
        url = pc.fill_null(docs.column("url").cast("string"), "")
        texts_kept = pc.replace_substring_regex(texts, MACROS, "")
        texts_kept = pc.replace_substring_regex(texts_kept, LAST_MACROS, "")
        books = pc.and_(
            pc.match_substring(url, "libretexts"), pc.invert(pc.match_substring_regex(url, "math|phys|stats"))
        )
        numbered = texts_kept
        for index in PAGE_INDICES:
            numbered = pc.replace_substring_regex(numbered, index, "")
        formulas = pc.count_substring_regex(numbered, FORMULA)
        characters = pc.utf8_length(texts_kept)
        accented = pc.count_substring_regex(pc.utf8_lower(texts_kept), ACCENTED)
        return {
            "mathematics": pc.match_substring_regex(texts, WORDS),
            "characters": characters.cast("int64"),
            "libretexts": books,
            "formulas": formulas.cast("int64"),
            "accented": ratio(np.asarray(accented), np.asarray(characters)),
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        s = {name: floats(column) for name, column in scores.items()}
        least = np.nan if self.min_characters is None else self.min_characters
        most = np.nan if self.max_accented is None else self.max_accented
        return reason_where(
            ((s["mathematics"] == 0) & self.needs_mathematics, "no_mathematics"),
            (s["characters"] < least, "short"),
            ((s["libretexts"] > 0) & (s["formulas"] == 0) & self.needs_formulas, "no_formulas"),
            (s["accented"] > most, "accents"),
        )
