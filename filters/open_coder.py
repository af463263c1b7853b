"""`open_coder`: rules of OpenCoder for source files that `code_quality` does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from corpusmill.filters.code_quality import CodeQuality
from corpusmill.filters.rules.limits import Share
from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats, ratio
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.text.bounds import bounds_of

if TYPE_CHECKING:
    import pyarrow as pa

DATA_FORMATS = ("json", "yaml", "xml", "text", "markdown")
ASSERT = r"(?i)[^\n]*assert[^\n]*"
PROMPT = r"(?i)(?://|#|/\*|\*|--|%|;|<!--)[^\n]*(?:your code here|fixme|todo)[^\n]*"


class OpenCoder(Filter):
    """Remove source files by rules of OpenCoder's pipeline, beside those of `code_quality`.

    OpenCoder (Huang et al. 2024, arXiv 2411.04905; `opc_data_filtering`, `code_filter_config.py`, files of
    any language) has the rules of `code_quality` on long lines, comments, generated files, XML and encoded
    data, and these. In this order a file is removed when (reason):

    - it has too many bytes (large_file), too few characters (short_file) or lines (few_lines), or its mean
      line is too short (short_mean_line);
    - too few of its characters other than white space are letters (few_letters), too many of them digits
      (many_digits), or too many of all characters white space (much_white_space) or U+FFFD
      (replacement_characters);
    - too much of it is hexadecimal numbers with 0x (hexadecimal);
    - too many of its lines stand there more than once, white space apart, `},` and lines of one character
      aside (repeated_lines);
    - too many lines have `todo`, `fixme` or `your code here` behind a comment's sign (unfinished), or
      `assert` (assertions); not asked of data and prose (JSON, YAML, XML, text, Markdown).

    Comparisons are strict; null switches a rule off. Differences: a comment's line is told by a sign in it,
    not by a parser, and lines with `assert` are a share of all lines that are not blank. Not here: numbers
    and lengths of words, the share of string literals, rules for one language that parse it, such as
    Python's (`code_quality` has syntax errors), and repeated n-grams, which `gopher_repetition` has.
    """

    measured: ClassVar[tuple[str, ...]] = ()
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"open_coder.{name}"
        for name in (
            "data", "bytes", "characters", "lines", "mean_line", "letters", "digits", "white_space",
            "replacement", "hexadecimal", "repeated_lines", "prompt_lines", "assert_lines",
        )
    )  # fmt: skip

    max_bytes: int | None = Field(3_000_000, ge=0, description="Most bytes of a file (OpenCoder: 3,000,000).")
    min_characters: int | None = Field(50, ge=0, description="Fewest characters of a file (OpenCoder: 50).")
    min_lines: int | None = Field(10, ge=0, description="Fewest lines of a file (OpenCoder: 10).")
    min_mean_line: float | None = Field(
        5.0, ge=0, description="Fewest characters of the mean line (OpenCoder: 5)."
    )
    min_letters: Share | None = Field(
        0.5, description="Least share of letters among characters other than white space (OpenCoder: 0.5)."
    )
    max_digits: Share | None = Field(
        0.2, description="Largest share of digits among the same (OpenCoder: 0.2, SQL 0.3)."
    )
    max_white_space: Share | None = Field(
        0.5, description="Largest share of characters that are white space (OpenCoder: 0.5)."
    )
    max_replacement: Share | None = Field(
        0.01, description="Largest share of characters that are U+FFFD (OpenCoder: 0.01)."
    )
    max_hexadecimal: Share | None = Field(
        0.4, description="Largest share of characters in hexadecimal numbers (OpenCoder: 0.4)."
    )
    max_repeated_lines: Share | None = Field(
        0.7, description="Largest share of lines that stand there more than once (OpenCoder: 0.7)."
    )
    max_prompt_lines: Share | None = Field(
        0.01, description="Largest share of lines with `todo` and its like in a comment (OpenCoder: 0.01)."
    )
    max_assert_lines: Share | None = Field(
        0.4, description="Largest share of lines with `assert` (OpenCoder: 0.4)."
    )

    def score(self, docs: Documents) -> Columns:
        """Counts int64[n], shares and the mean line double[n], `data` bool[n]."""
        import pyarrow.compute as pc

        from corpusmill.filters.kernels.code import code_counts
        from corpusmill.filters.kernels.open_coder import hexadecimal_characters, repeated_lines

        bounds = bounds_of(docs)
        c = code_counts(bounds.texts, -1)
        texts = pc.fill_null(docs.text, "")
        data = pc.fill_null(pc.is_in(CodeQuality._formats(docs), value_set=_strings(DATA_FORMATS)), False)
        characters = np.asarray(pc.utf8_length(texts), np.int64)
        visible = c.characters - c.white_space
        repeated, filled = repeated_lines(bounds.texts)
        prompts = np.asarray(pc.count_substring_regex(texts, PROMPT), np.int64)
        asserts = np.asarray(pc.count_substring_regex(texts, ASSERT), np.int64)
        return {
            "data": data,
            "bytes": np.asarray(pc.binary_length(texts), np.int64),
            "characters": characters,
            "lines": c.lines,
            "mean_line": ratio(c.line_characters, c.lines),
            "letters": ratio(c.letters, visible),
            "digits": ratio(c.letters_and_digits - c.letters, visible),
            "white_space": ratio(characters - visible, characters),
            "replacement": ratio(np.asarray(pc.count_substring(texts, "\ufffd"), np.int64), characters),
            "hexadecimal": ratio(hexadecimal_characters(bounds.texts), characters),
            "repeated_lines": ratio(repeated, filled),
            "prompt_lines": ratio(prompts, c.lines),
            "assert_lines": ratio(asserts, filled),
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        s = {name: floats(column) for name, column in scores.items()}
        code = s["data"] == 0

        def off(value: float | None) -> float:
            return np.nan if value is None else value

        return reason_where(
            (s["bytes"] > off(self.max_bytes), "large_file"),
            (s["characters"] < off(self.min_characters), "short_file"),
            (s["lines"] < off(self.min_lines), "few_lines"),
            (s["mean_line"] < off(self.min_mean_line), "short_mean_line"),
            (s["letters"] < off(self.min_letters), "few_letters"),
            (s["digits"] > off(self.max_digits), "many_digits"),
            (s["white_space"] > off(self.max_white_space), "much_white_space"),
            (s["replacement"] > off(self.max_replacement), "replacement_characters"),
            (s["hexadecimal"] > off(self.max_hexadecimal), "hexadecimal"),
            (s["repeated_lines"] > off(self.max_repeated_lines), "repeated_lines"),
            (code & (s["prompt_lines"] > off(self.max_prompt_lines)), "unfinished"),
            (code & (s["assert_lines"] > off(self.max_assert_lines)), "assertions"),
        )


def _strings(names: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.array(names, pa.string())
