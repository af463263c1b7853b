"""`bad_words`: documents that hold a word of a list for their language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator

from corpusmill.pipelines.contract.documents import Columns, Documents, reason_where
from corpusmill.pipelines.contract.rules import floats
from corpusmill.pipelines.contract.stage import Context, Filter, Seeded

UNSPACED = ("ja", "zh", "th", "yue", "wuu", "lo", "km", "my", "bo")


class BadWords(Seeded, Filter):
    """Remove documents that hold a word of the list for their language (reason: bad_words).

    After C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2) and datatrove 0.10's C4BadWordsFilter: in
    any case, as whole words between characters that are no letter, digit or `_`; in languages written
    without spaces anywhere in the text. `keep_share` of the documents found stay, drawn by the recipe's
    seed and their ids (datatrove: from an unseeded generator unless one is given). The lists are files:
    `lists: {en: en.txt, ja: ja.txt}`, an entry of one or more words a line, `#` for comments. None is part of
    corpusmill (C4 took that of LDNOOBW). Documents of a language without a list, or without a language, are
    kept.

    Scores: `word` string, the first one found, and `draw` double, in [0, 1).
    """

    produces: ClassVar[tuple[str, ...]] = ("bad_words.word", "bad_words.draw")
    measured: ClassVar[tuple[str, ...]] = ("lists",)

    single_files: ClassVar[tuple[str, ...]] = ("lists",)

    lists: dict[str, Path] = Field(description="Files of words by language code.", min_length=1)
    keep_share: float = Field(
        0.0, ge=0.0, le=1.0, description="Share of documents with such a word that stay (datatrove: 0)."
    )

    _patterns: dict[str, str] | None = PrivateAttr(default=None)

    @field_validator("lists")
    @classmethod
    def _known(cls, given: dict[str, Path]) -> dict[str, Path]:
        from corpusmill.filters.rules.language_codes import unknown_codes

        wrong = unknown_codes(given)
        if wrong:
            raise ValueError("; ".join(wrong))
        return given

    def prepare(self, context: Context) -> Self:
        """Read the lists. Raises UserError for one that is not UTF-8 or has no entry."""
        ready = super().prepare(context)
        ready._patterns = self._read()
        return ready

    def _read(self) -> dict[str, str]:
        from corpusmill.filters.rules.word_lists import entries

        # As they are written: RE2 ignores case by itself, and the lower case of `İ` is two characters.
        return {
            code: _pattern(entries(file, lower=False), code in UNSPACED) for code, file in self.lists.items()
        }

    def score(self, docs: Documents) -> Columns:
        """`word` string[n], null for none, and `draw` double[n]."""
        import pyarrow.compute as pc

        from corpusmill.pipelines.contract.randomness import draws

        patterns = self._patterns if self._patterns is not None else self._read()
        languages = docs.column("lang").cast(pa.string())
        words = pa.nulls(len(docs), pa.string())
        for code, pattern in patterns.items():
            rows = np.flatnonzero(
                pc.fill_null(pc.equal(languages, code), False).to_numpy(zero_copy_only=False)
            )
            if len(rows) == 0:
                continue
            found = pc.struct_field(pc.extract_regex(docs.text.take(pa.array(rows)), pattern), "word")
            mask = np.zeros(len(docs), np.bool_)
            mask[rows] = True
            words = pc.replace_with_mask(words, pa.array(mask), found.cast(pa.string()))
        drawn = draws(docs.column("id"), self.known_seed(), self.name) / 2.0**64
        return {"word": words, "draw": drawn}

    def judge(self, scores: Columns) -> pa.Array:
        """A word was found, and the document is not one of those that stay."""
        import pyarrow.compute as pc

        words = scores["word"] if isinstance(scores["word"], pa.Array) else pa.array(scores["word"])
        held = np.asarray(pc.is_valid(words).to_numpy(zero_copy_only=False))
        return reason_where((held & (floats(scores["draw"]) >= self.keep_share), "bad_words"))


def _pattern(words: list[str], anywhere: bool) -> str:
    """An expression of RE2, linear in the text, with a group `word`."""
    listed = "|".join(
        re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(word))
        for word in sorted(set(words), key=lambda word: (-len(word), word))
    )
    if anywhere:
        return f"(?i)(?P<word>{listed})"
    return rf"(?i)(?:^|[^\pL\pN_])(?P<word>{listed})(?:$|[^\pL\pN_])"
