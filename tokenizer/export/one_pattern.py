r"""One regular expression for a pre-tokenizer of several, as tiktoken needs it.

tiktoken takes the matches of one expression (Rust's regex syntax with look-around: fancy-regex) and loses
what lies between them; `tokenizers` applies expressions one after the other, each to every piece so far, and
keeps what lies between. With DeepSeek-V3's three:

1. digits stand alone, so nothing else may take a character of class N, and white space before a digit is
   white space at the end of its piece: `(?!\S)` holds there;
2. runs of ideographs and kana (the block C) stand alone too, and are cut again by the third expression:
   marks, punctuation and symbols of the block (`・`, `゛`) part from its letters. So each alternative that
   can match on both sides of the border is written twice: for characters of C, and for the others;
3. what no alternative matches (control, format, unassigned and private-use characters without a letter or
   mark after them) is one piece as long as it goes on: the last alternatives of either side.

A possessive form of each alternative with a look-ahead stands before the one that gives a character back:
the engine's stack holds a million steps, and so a run of white space at the end of a text may be of any
length. One of a million or more that ends before other text stops tiktoken (as it does in its own
encodings).
"""

from __future__ import annotations

import re

from corpusmill.pipelines.contract.errors import UserError

_BLOCK = "一-龥\u3040-\u309f\u30a0-\u30ff"
_LETTERS, _SIGNS = r"\p{L}\p{M}", r"\p{P}\p{S}"
# Ends and beginnings of lines, words and lines as either engine understands them, flags, possessive bounds.
_READ_OTHERWISE = re.compile(
    r"\$|(?<!\[)\^|\\[ABGHKRWXYZbghkwxy]|\[\[?:|\{\d*(?:,\d*)?\}\+|\(\?[a-z]*[mxs]|\\[1-9]|(?<!\\)\."
)
_ASCII_SIGN = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"


def one_pattern(regexes: tuple[str, ...]) -> str:
    """The one expression with the pieces of `regexes`. Raises UserError where none is known."""
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    known = PreTokenizer.of(regexes)
    if known.pattern == "deepseek_v3":
        return _deepseek(regexes[0], known.punctuation_line_breaks)
    if len(regexes) > 1:
        raise UserError(
            "the pre-tokenizer applies several expressions one after the other; tiktoken takes one, and "
            "these are none that corpusmill knows how to write as one"
        )
    (regex,) = regexes
    if isinstance(known.pattern, str):
        return regex  # the named patterns match every character
    read_otherwise = _READ_OTHERWISE.search(regex)
    if read_otherwise:
        raise UserError(
            f"tiktoken's engine reads {read_otherwise.group()!r} in the expression {regex!r} in another way "
            "than `tokenizers` does; write the expression without it"
        )
    return rf"{regex}|(?:(?!{regex})[\s\S])++"


def _deepseek(digits: str, line_breaks: bool) -> str:
    breaks = r"[\r\n]*" if line_breaks else ""
    inside = rf"[{_LETTERS}&&[{_BLOCK}]]"
    outside = rf"[{_LETTERS}--[{_BLOCK}]]"
    other_inside = rf"[[{_BLOCK}]--[{_LETTERS}{_SIGNS}]]+"
    other_outside = rf"[^\s{_LETTERS}{_SIGNS}\p{{N}}{_BLOCK}]+"
    no_text = rf"(?![^\s\p{{N}}{_BLOCK}])"
    return "|".join(
        (
            digits,
            rf"[[{_BLOCK}]--[\p{{L}}{_SIGNS}]]?{inside}+",
            rf"[{_SIGNS}&&[{_BLOCK}]]+",
            rf"{other_inside}+(?!{inside})",
            rf"{other_inside}(?!{inside})",
            f"{_ASCII_SIGN}[A-Za-z]+",
            rf"[^\r\n\p{{L}}{_SIGNS}\p{{N}}{_BLOCK}]?{outside}+",
            rf" ?[{_SIGNS}--[{_BLOCK}]]+{breaks}",
            r"\s*[\r\n]+",
            rf"\s++{no_text}",
            rf"\s+{no_text}",
            r"\s+",
            rf"{other_outside}+(?!{outside})",
            rf"{other_outside}(?!{outside})",
        )
    )
