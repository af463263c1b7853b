"""Quality rules for source files."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats, ratio
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.system.time_limit import limited
from corpusmill.pipelines.text.bounds import bounds_of
from corpusmill.pipelines.text.grammars import LIBRARIES, file_kinds, told_language

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Length = Annotated[int, Field(ge=0)]

# File name extension, or language name in lower case, to the formats some rules single out.
FORMATS = {
    **dict.fromkeys(("json", "geojson", "ipynb", "jsonl", "webmanifest"), "json"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("xml", "svg", "xsd", "rss", "pom"), "xml"),
    **dict.fromkeys(("xsl", "xslt"), "xslt"),
    **dict.fromkeys(("md", "markdown", "rst", "restructuredtext"), "markdown"),
    **dict.fromkeys(("txt", "text", "csv", "tsv"), "text"),
    **dict.fromkeys(("tex", "latex", "sty", "bib", "ltx"), "tex"),
    **dict.fromkeys(("roff", "man", "1", "3", "5", "8", "roff manpage"), "roff"),
    **dict.fromkeys(("smt", "smt2", "smtlib"), "smt"),
}
# Formats whose lines are paragraphs or data (The Stack v2, arXiv 2402.19173, section 3.1).
LONG_LINED = ("html", "json", "markdown", "roff", "smt", "tex", "text", "xml", "xslt")
GENERATED_LINES, HEAD_CHARACTERS, XML_BYTES = 5, 4096, 100


def _joined(*texts: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Texts of ASCII for a kernel: offsets and bytes."""
    return np.cumsum([0, *map(len, texts)]), np.frombuffer("".join(texts).encode("ascii"), np.uint8)


class CodeQuality(Filter):
    """Remove source files that are data, generated, minified or markup without text.

    The format of a file is that of the column `code_language` where there is one, else of the extension of
    its `path`; files of no known format are plain code, and so are notebooks that a reader made text of. In
    this order a file goes when (reason):

    - it holds nothing but white space (empty);
    - one of its first 5 lines states that it is generated (auto_generated; `rules.generated_code`);
    - it has too many lines (many_lines);
    - outside HTML, JSON, Markdown, roff, SMT, TeX, text and XML (formats as in The Stack v2), its longest
      line is too long and such lines hold too much of it (long_line), or its mean line is too long
      (long_mean_line);
    - too few of its characters are letters or digits (few_alphanumeric), or letters (few_alphabetic);
    - `<?xml version=` stands in its first 100 bytes, XSLT apart (xml);
    - it is HTML with too little visible text (little_visible_text);
    - it is JSON or YAML that is too short or too long (data_size);
    - a run of encoded data is too long in a file with much of it, or there is too much of it (encoded_data);
    - too much or too little of it is comment (comments), where its language is known
      (`rules.comment_styles`);
    - too much of it is no program of its language (syntax_errors), asked for by `max_syntax_errors` alone.

    Sources: Codex (arXiv 2107.03374), The Stack (2211.15533), StarCoder (2305.06161), DeepSeek-Coder
    (2401.14196, section 2.1), The Stack v2 (2402.19173, section 3.1).

    Comparisons are strict; null switches a rule off. Differences: one long line among others removes no
    file, nor does one table of bytes (there both do); a comment that only speaks of generated things is no
    mark; visible text is what stands outside tags, comments, scripts and styles; encoded data are runs of
    at least 64 letters, digits, `+`, `/`, `=` on one line, and of at least 8 literals such as `0xA1`, `\\xA1`
    or `\\u00A1` with commas and spaces (The Stack v2 lets base64 cross lines and counts bare pairs).
    """

    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    measured: ClassVar[tuple[str, ...]] = ()
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"code_quality.{score}"
        for score in (
            "format", "characters", "white_space", "longest_line", "mean_line", "alphanumeric",
            "alphabetic", "encoded", "longest_encoded", "generated", "xml", "visible_characters", "lines",
            "long_lines", "comments", "syntax_errors",
        )
    )  # fmt: skip

    max_line: Length | None = Field(
        1_000, description="Most characters of the longest line of code (Codex: 1,000)."
    )
    max_long_lines: Share = Field(
        0.3, description="Share of characters in lines over `max_line` up to which a file stays."
    )
    max_lines: Length | None = Field(100_000, description="Most lines of a file (The Stack v2: 100,000).")
    max_mean_line: float | None = Field(
        100.0, ge=0, description="Most characters of the mean line of code (Codex: 100)."
    )
    min_alphanumeric: Share | None = Field(
        0.25, description="Least share of characters that are letters or digits (The Stack: 0.25)."
    )
    min_alphabetic: Share | None = Field(
        0.25, description="Least share of characters that are letters (StarCoder, DeepSeek-Coder: 0.25)."
    )
    drop_generated: bool = Field(
        True, description="Remove files whose first 5 lines state that they are generated (The Stack v2)."
    )
    drop_xml: bool = Field(
        True, description="Remove XML other than XSLT, told by its first 100 bytes (DeepSeek-Coder)."
    )
    min_visible: Share | None = Field(
        0.2, description="Least share of the characters of HTML that are visible text (DeepSeek-Coder: 0.2)."
    )
    min_visible_characters: Length | None = Field(
        100, description="Fewest characters of visible text in HTML (DeepSeek-Coder: 100)."
    )
    min_data_characters: Length | None = Field(
        50, description="Fewest characters of a JSON or YAML file (DeepSeek-Coder: 50)."
    )
    max_data_characters: Length | None = Field(
        5_000, description="Most characters of a JSON or YAML file (DeepSeek-Coder: 5,000)."
    )
    max_encoded_run: Length | None = Field(
        1_024, description="Most characters of one run of encoded data (The Stack v2: 1,024)."
    )
    min_encoded: Share = Field(
        0.25, description="Share of characters in encoded data from which `max_encoded_run` holds; 0: always."
    )
    max_encoded: Share | None = Field(
        0.5, description="Largest share of characters in runs of encoded data (The Stack v2: 0.5)."
    )

    max_comments: Share | None = Field(
        0.8, description="Largest share of bytes in comments (StarCoder: 0.8)."
    )
    min_comments: Share | None = Field(
        None, description="Least share of bytes in comments (StarCoder: 0.01 for some languages)."
    )
    max_syntax_errors: Share | None = Field(
        None, description="Largest share of bytes that tree-sitter cannot parse; null: files are not parsed."
    )
    max_parse_seconds: float = Field(
        2.0,
        gt=0,
        description="Most seconds of processor time to parse a file; one beyond it is quarantined, except "
        "with the engine inline, which waits.",
    )

    @staticmethod
    def _generated(docs: Documents) -> pa.Array:
        """bool[n]: one of the first lines says that the file is generated."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.generated_code import MARKS

        head = pc.utf8_slice_codeunits(pc.fill_null(docs.text, ""), 0, HEAD_CHARACTERS)
        head = pc.replace_substring_regex(head, r"\r\n|[\r\x{85}\x{2028}\x{2029}]", "\n")
        lines = rf"\A(?P<head>(?:[^\n]*\n){{0,{GENERATED_LINES - 1}}}[^\n]*)"
        head = pc.struct_field(pc.extract_regex(head, lines), "head")
        found = pc.match_substring_regex(head, MARKS[0])
        for mark in MARKS[1:]:
            found = pc.or_(found, pc.match_substring_regex(head, mark))
        return found

    def _syntax_errors(self, docs: Documents, kinds: list[str | None]) -> pa.Array:
        from corpusmill.filters.rules.syntax import syntax_errors

        if self.max_syntax_errors is None:
            return pa.nulls(len(docs), pa.float64())
        texts = docs.text.to_pylist()
        found = []
        for row, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
            # Crafted files take time and memory quadratic in their size; see `text.grammars`.
            with limited(self.max_parse_seconds, row):
                found.append(syntax_errors((text or "").encode(), kind))
        return pa.array(found, pa.float64())

    @staticmethod
    def _formats(docs: Documents) -> pa.Array:
        """string[n]: the format of each file, null for plain code."""
        import pyarrow.compute as pc

        paths = docs.column("path").cast(pa.string())
        found = pc.extract_regex(paths, r"\.(?P<extension>[^./\\]+)$")
        names = pc.struct_field(found, "extension")
        if "code_language" in docs.table.column_names:
            names = told_language(docs, names)
        cells = pc.and_(pc.equal(pc.utf8_lower(names), "ipynb"), pc.invert(pc.starts_with(docs.text, "{")))
        names = pc.if_else(pc.fill_null(cells, False), pa.scalar(None, pa.string()), names)
        position = pc.index_in(pc.utf8_lower(names), value_set=pa.array(list(FORMATS)))
        return pa.array(list(FORMATS.values())).take(position)

    def score(self, docs: Documents) -> Columns:
        """Counts int64[n], shares and mean line length double[n], flags bool[n], format string[n]."""
        import pyarrow.compute as pc

        from corpusmill.filters.kernels import code as kernel
        from corpusmill.filters.kernels.comments import comment_bytes
        from corpusmill.filters.rules.comment_styles import STYLES

        texts, formats, kinds = bounds_of(docs).texts, self._formats(docs), file_kinds(docs)
        styles = np.array([STYLES.get(kind or "", 0) for kind in kinds], np.int64)
        comments = comment_bytes(texts, styles)
        html = np.asarray(pc.fill_null(pc.equal(formats, "html"), False).to_numpy(zero_copy_only=False))
        c = kernel.code_counts(texts, -1 if self.max_line is None else self.max_line)
        xml = kernel.contains_early(texts, *_joined("<?xml version="), XML_BYTES, XML_BYTES)
        visible = kernel.visible_characters(texts, html, *_joined("script", "style"))
        return {
            "format": formats,
            "characters": c.characters,
            "white_space": c.white_space,
            "longest_line": c.longest_line,
            "mean_line": ratio(c.line_characters, c.lines),
            "alphanumeric": ratio(c.letters_and_digits, c.characters),
            "alphabetic": ratio(c.letters, c.characters),
            "encoded": ratio(c.encoded, c.characters),
            "longest_encoded": c.longest_encoded,
            "generated": self._generated(docs),
            "xml": xml,
            "visible_characters": pa.array(visible, mask=~html),
            "lines": c.lines,
            "long_lines": ratio(c.long_line_characters, c.characters),
            "comments": ratio(comments, (texts.ends - texts.starts) * (styles > 0)),
            "syntax_errors": self._syntax_errors(docs, kinds),
        }

    def judge(self, scores: Columns) -> pa.Array:
        """The first rule broken, in the order above."""
        import pyarrow.compute as pc

        def off(value: float | None) -> float:
            return np.nan if value is None else value

        formats = scores["format"] if isinstance(scores["format"], pa.Array) else pa.array(scores["format"])

        def of(*names: str) -> npt.NDArray[np.bool_]:
            return np.asarray(pc.is_in(formats, value_set=pa.array(names)).to_numpy(zero_copy_only=False))

        s = {name: floats(column) for name, column in scores.items() if name != "format"}
        lined, data = ~of(*LONG_LINED), of("json", "yaml")
        visible = np.divide(
            s["visible_characters"], s["characters"], where=s["characters"] > 0, out=s["encoded"] * 0
        )
        size = s["characters"]
        return reason_where(
            (s["characters"] == s["white_space"], "empty"),
            ((s["generated"] > 0) & self.drop_generated, "auto_generated"),
            (s["lines"] > off(self.max_lines), "many_lines"),
            (
                lined & (s["longest_line"] > off(self.max_line)) & (s["long_lines"] > self.max_long_lines),
                "long_line",
            ),
            (lined & (s["mean_line"] > off(self.max_mean_line)), "long_mean_line"),
            (s["alphanumeric"] < off(self.min_alphanumeric), "few_alphanumeric"),
            (s["alphabetic"] < off(self.min_alphabetic), "few_alphabetic"),
            ((s["xml"] > 0) & ~of("xslt") & self.drop_xml, "xml"),
            (s["visible_characters"] < off(self.min_visible_characters), "little_visible_text"),
            (of("html") & (visible < off(self.min_visible)), "little_visible_text"),
            (data & (size < off(self.min_data_characters)), "data_size"),
            (data & (size > off(self.max_data_characters)), "data_size"),
            (
                (s["longest_encoded"] > off(self.max_encoded_run)) & (s["encoded"] >= self.min_encoded),
                "encoded_data",
            ),
            (s["encoded"] > off(self.max_encoded), "encoded_data"),
            (s["comments"] > off(self.max_comments), "comments"),
            (s["comments"] < off(self.min_comments), "comments"),
            (s["syntax_errors"] > off(self.max_syntax_errors), "syntax_errors"),
        )
