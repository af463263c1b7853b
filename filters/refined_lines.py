"""`refined_lines`: lines that are no prose are cut; texts of which they are too much are removed."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.filters.rules.limits import meant_for
from corpusmill.pipelines.contract.documents import Documents, nothing, reason_where
from corpusmill.pipelines.contract.stage import Edit, Outcome

SPAN = pa.struct([("start", pa.int64()), ("stop", pa.int64()), ("rule", pa.string())])

_LINE = re.compile(r"[^\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+(?:\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])?")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
LONGEST = 400  # characters of a line that is looked at for counters and phrases
_COUNTER = re.compile(
    r"(?i)\W*\d[\d.,]*\s*[km]?\+?\s*(?:likes?|shares?|comments?|retweets?|reposts?|quotes?|bookmarks?"
    r"|upvotes?|downvotes?|downloads?|views?|followers?|replies|reply|votes?|reviews?|ratings?|points?|pins?)\W*"
)
_START = re.compile(
    r"(?i)\W*(?:sign[- ]?in|log[- ]?in|sign[- ]?up|subscribe|share (?:on|this)|follow us|skip to)\b"
)
_END = re.compile(r"(?i)\b(?:read more|continue reading|click here|learn more|see more|show more)\W*\Z")
_ANYWHERE = re.compile(
    r"(?i)\b(?:items? in (?:your )?cart|add to (?:cart|basket|wishlist)|your cart is empty)\b"
)


class RefinedLines(Edit):
    """Cut lines that are menus, counters and buttons rather than prose; remove what has too many of them.

    The line-wise corrections of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.2). A line, cut
    at LF, CR LF, CR and the other ends of `str.splitlines`, is cut out when (rule)

    - more than `max_capitals` of its letters are capitals (capitals);
    - it holds digits and no letter (number);
    - it is one word (one_word);
    - it is a counter, such as `3 likes` (counter);
    - it has at most `short_line` words and starts with `sign in` and the like, ends in `read more` and the
      like, or holds `items in cart` and the like (phrase).

    A document is removed when the words of such lines exceed `max_cut_words` of its words
    (too_many_cut_lines), or nothing is left (nothing_left). Documents of languages that are not in
    `languages` stay as they are.

    The paper names the rules and a few examples; the phrases are ours. Words are runs without white space.
    A line goes with its end; blank lines stay. `spans` lists what was cut as bytes of the text as it came,
    with the rule. Plain Python with expressions, time linear in the text.
    """

    produces: ClassVar[tuple[str, ...]] = (
        "text", "refined_lines.spans", "refined_lines.cut_lines", "refined_lines.cut_words",
    )  # fmt: skip

    languages: tuple[str, ...] | None = Field(
        ("en",), description="Languages, by code, whose documents are edited; null: all."
    )
    max_capitals: float | None = Field(
        0.5, ge=0.0, le=1.0, description="Largest share of letters that are capitals in a line that stays."
    )
    drop_numbers: bool = Field(True, description="Cut lines of digits and marks.")
    drop_counters: bool = Field(True, description="Cut lines such as `3 likes`.")
    drop_one_word: bool = Field(True, description="Cut lines of one word.")
    short_line: int = Field(
        10, ge=0, description="Most words of a line that phrases can cut (RefinedWeb: 10); 0: none."
    )
    max_cut_words: float | None = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="Largest share of words in lines that are cut, if a document stays (RefinedWeb: 0.05).",
    )

    def edit(self, docs: Documents) -> Outcome:
        """The edited texts; `spans` list<start, stop, rule>[n], `cut_lines` int64[n] and `cut_words`, a
        share, double[n]; null for documents that are not looked at. What is removed keeps its text.
        """
        chosen = meant_for(docs, self.languages)
        texts: list[str | None] = docs.text.to_pylist()
        spans: list[list[dict[str, object]] | None] = []
        counts: list[int | None] = []
        shares = np.zeros(len(docs))
        left = np.ones(len(docs), np.bool_)
        for i, text in enumerate(texts):
            if not chosen[i]:
                spans.append(None)
                counts.append(None)
                continue
            kept, cut, share = self._lines(text or "")
            shares[i], left[i] = share, bool(kept.strip()) or not (text or "").strip()
            if left[i] and not share > (np.inf if self.max_cut_words is None else self.max_cut_words):
                texts[i] = kept if text is not None else None
            spans.append(cut)
            counts.append(len(cut))
        most = np.inf if self.max_cut_words is None else self.max_cut_words
        reasons = reason_where((shares > most, "too_many_cut_lines"), (~left, "nothing_left"))
        edited = docs.with_columns(
            {
                "text": pa.array(texts, pa.large_string()),
                "refined_lines.spans": pa.array(spans, pa.list_(SPAN)),
                "refined_lines.cut_lines": pa.array(counts, pa.int64()),
                "refined_lines.cut_words": pa.array(shares, mask=~chosen),
            }
        )
        return Outcome(edited, reasons, nothing(len(docs)))

    def _lines(self, text: str) -> tuple[str, list[dict[str, object]], float]:
        """What stays, the spans that do not, and their share of the words."""
        kept: list[str] = []
        cut: list[dict[str, object]] = []
        words = cut_words = at = byte = 0
        for found in _LINE.finditer(text):
            line = found.group()
            between = text[at : found.start()]
            kept.append(between)
            byte += len(between.encode())
            at, size = found.end(), len(line.encode())
            many = len(line.split())
            words += many
            rule = self._rule(line.strip(), many)
            if rule is None:
                kept.append(line)
            else:
                cut_words += many
                cut.append({"start": byte, "stop": byte + size, "rule": rule})
            byte += size
        kept.append(text[at:])
        return "".join(kept), cut, cut_words / words if words else 0.0

    def _rule(self, line: str, words: int) -> str | None:
        """The first rule that cuts a line, without its outer white space."""
        if not line:
            return None
        if self.max_capitals is not None:
            capitals = sum(map(str.isupper, line))
            if capitals and capitals > self.max_capitals * sum(map(str.isalpha, line)):
                return "capitals"
        if self.drop_numbers and _DIGIT.search(line) and not _LETTER.search(line):
            return "number"
        if self.drop_one_word and words == 1:
            return "one_word"
        if len(line) > LONGEST:
            return None
        if self.drop_counters and words <= 4 and _COUNTER.fullmatch(line):
            return "counter"
        if words <= self.short_line and (_START.match(line) or _END.search(line) or _ANYWHERE.search(line)):
            return "phrase"
        return None
