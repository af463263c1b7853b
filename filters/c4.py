"""The heuristics of C4."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.filters.rules.limits import meant_for
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, nothing, reason_where
from corpusmill.pipelines.contract.stage import Edit, Outcome
from corpusmill.pipelines.text.bounds import bounds_of

POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


class C4(Edit):
    """Keep the lines of each text that read like prose, and drop texts with too few (Raffel et al. 2020,
    arXiv 1910.10683, section 2.2).

    The text is cut as `str.splitlines` does and each line stripped. In this order, a line is dropped when

    - `max_word_length`: a word of it (between white space) has too many characters;
    - `terminal`: it does not end a sentence, after `citations` are cut from it;
    - `min_words_per_line`: it has too few words, citations included;
    - `javascript`, `policy`: it holds one of these phrases, in any case;

    and where a line comes so far, `lorem ipsum` (lorem_ipsum) or `{` (curly_bracket) drops the whole document
    with that reason. What stays is joined by line feeds and stripped; a document of under
    `min_sentences` sentences is dropped (too_few_sentences) and keeps its text as it was.

    Rules and order are datatrove 0.10's C4QualityFilter with `split_paragraph`, quirks included: a line that
    an earlier rule dropped cannot drop the document, and one that ends in a space once its citation is cut is
    not terminated. FineWeb runs it with `terminal: false`. It differs in its sentences, which end at a
    token that is one terminal mark of any script and begin with the next token not of symbols alone (there: a
    spaCy sentencizer); in that letter case is that of ASCII; and in that null, not -1, switches a limit
    off. The list of bad words is not part of it. The rules are meant for English: documents of a language
    that is not in `languages` stay as they are. Of one that is and is not English, a line is terminated by
    what ends a sentence in some script too (U+3002, U+0964, ...), perhaps with a closing quotation mark
    behind it, and its words are those of `text.kernels.words`, since there may be no white space between
    them; this has no counterpart in C4, which is English, nor in mC4, which leaves the rule out.
    """

    produces: ClassVar[tuple[str, ...]] = ("text", "c4.sentences", "c4.lines", "c4.dropped_lines")

    languages: tuple[str, ...] | None = Field(
        ("en",),
        description="Languages, by code, whose documents are edited; null: all, by the rules for English.",
    )
    terminal: bool = Field(True, description="Drop lines that do not end in `. ? ! \" '` or end in `...`.")
    citations: bool = Field(
        True, description="Cut `[12]`, `[]`, `[edit]` and `[citation needed]` from lines."
    )
    min_sentences: int | None = Field(
        5, ge=0, description="Fewest sentences of a document (datatrove: 5); null: no limit."
    )
    min_words_per_line: int | None = Field(
        3, ge=0, description="Fewest words of a line that stays (datatrove: 3); null: no limit."
    )
    max_word_length: int | None = Field(
        1_000,
        ge=1,
        description="Most characters of a word in a line that stays (datatrove: 1,000); null: no limit.",
    )
    lorem_ipsum: bool = Field(True, description="Remove documents with `lorem ipsum` in a line that stays.")
    javascript: bool = Field(True, description="Drop lines that hold the word `javascript`.")
    curly_bracket: bool = Field(True, description="Remove documents with `{` in a line that stays.")
    policy: bool = Field(True, description='Drop lines that hold a phrase such as "use cookies".')

    def edit(self, docs: Documents) -> Outcome:
        """The edited texts, with counts int64[n] of sentences and of lines in all and dropped, null where the
        document is of a language that is not edited.
        """
        import pyarrow.compute as pc

        from corpusmill.filters.kernels import c4 as kernel
        from corpusmill.filters.kernels.phrases import phrases_of

        options = kernel.C4Options(
            longest=-1 if self.max_word_length is None else self.max_word_length,
            least=-1 if self.min_words_per_line is None else self.min_words_per_line,
            terminal=self.terminal,
            citations=self.citations,
            curly_bracket=self.curly_bracket,
        )
        phrases = phrases_of(
            {
                kernel.LOREM: ("lorem ipsum",) if self.lorem_ipsum else (),
                kernel.SCRIPT: ("javascript",) if self.javascript else (),
                kernel.POLICY: POLICY if self.policy else (),
            }
        )
        bounds, chosen = bounds_of(docs), meant_for(docs, self.languages)
        rows = np.flatnonzero(chosen)
        if len(rows) < len(docs):
            bounds = bounds.rows(rows)
        foreign = np.zeros(len(rows), np.bool_)
        if self.languages is not None:
            foreign = ~meant_for(docs, ("en",))[rows]
        c, some = kernel.room_of(bounds.texts), bounds.ordinary
        done = 0
        for text in bounds.large:
            kernel.clean_lines(*some.whole, foreign, phrases, options, done, text.row, c)
            first = written = c.offsets[text.row]
            of_text = c.counts[:, text.row]
            for part in text.lines():
                written = kernel.clean_part(
                    *part, 0, foreign[text.row], phrases, options, c.data, first, written, of_text
                )
            kernel.finish(bounds.texts.table, c, text.row, written)
            done = text.row + 1
        kernel.clean_lines(*some.whole, foreign, phrases, options, done, len(rows), c)
        lines, dropped, verdicts, sentences = c.counts
        reasons = reason_where(
            (verdicts == kernel.LOREM_IPSUM, "lorem_ipsum"),
            (verdicts == kernel.CURLY_BRACKET, "curly_bracket"),
            (sentences < (self.min_sentences or 0), "too_few_sentences"),
        )
        texts = pa.Array.from_buffers(
            pa.large_string(),
            len(rows),
            [None, pa.py_buffer(c.offsets), pa.py_buffer(c.data[: c.offsets[-1]])],
        )
        columns = {
            "text": texts,
            "c4.sentences": pa.array(sentences),
            "c4.lines": pa.array(lines),
            "c4.dropped_lines": pa.array(dropped),
        }
        if len(rows) < len(docs):  # null, and the text as it was, for documents that are not edited
            places = pa.array(np.where(chosen, np.cumsum(chosen) - 1, 0), mask=~chosen)
            reasons = reasons.take(places)
            columns = {name: column.take(places) for name, column in columns.items()}
        edits = pc.and_(pc.is_null(reasons), pa.array(chosen))
        if not pc.all(edits).as_py():  # else no copy of a large text is made
            columns["text"] = pc.if_else(edits, columns["text"], docs.text)
        edited = docs.with_columns(columns)
        return Outcome(edited, reasons, nothing(len(docs)))

    def warm(self) -> None:
        """Compile the kernel, on no documents."""
        self.edit(Documents(SCHEMA.empty_table()))
