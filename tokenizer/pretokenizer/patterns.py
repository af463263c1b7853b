r"""The regular expressions of the named patterns, as Oniguruma (in `tokenizers`) reads them.

What a pattern is, is what `tokenizers` 0.23 does with these expressions, applied one after the other, each
isolating its matches: Unicode 16.0 classes, `\s` the 25 code points of White_Space (U+0085 among them,
U+180E and U+001C not), `(?i:s)` also U+017F. Sources:

- `deepseek_v3`: the released tokenizer.json of DeepSeek-V3. What no alternative matches (control and format
  characters without a letter after them) is a pre-token too, as long as it goes on.
- `llama3`, `qwen`: the released tokenizer.json of Llama 3.1 and Qwen3. Qwen's also normalizes text to NFC
  before; pre-tokens here are of the text as it is.
- `gpt2`: openai/gpt-2, `encoder.py`; the expression of `ByteLevel` in `tokenizers`.
- `cl100k`, `o200k`: tiktoken 0.14, `openai_public.py`. Its expressions are written for another engine, and
  Oniguruma reads two things otherwise: `{1,3}+` is a repetition there, not possessive, and `$` the end of any
  line, not of the text. Written here without either, with the same pre-tokens. tiktoken's cl100k takes white
  space at the end of a text as one pre-token, line breaks or not (`\s++$`); copies of cl100k that circulate
  as tokenizer.json lack that alternative and cut after the last line break: their pre-tokens are `llama3`'s.

Options change the expression: `digits` the number of digits in one pre-token, `line_breaks` False takes the
line breaks (in o200k also the slashes among them) away from the punctuation before them.
"""

from __future__ import annotations

from typing import Literal, get_args

Name = Literal["deepseek_v3", "gpt2", "cl100k", "o200k", "qwen", "llama3"]
NAMES: tuple[Name, ...] = get_args(Name)

# The longest run of digits in one pre-token; None: no limit.
DIGITS: dict[Name, int | None] = {
    "deepseek_v3": 3,
    "gpt2": None,
    "cl100k": 3,
    "o200k": 3,
    "qwen": 1,
    "llama3": 3,
}
# Punctuation takes the line breaks after it in all but this one.
WITHOUT_LINE_BREAKS: tuple[Name, ...] = ("gpt2",)

_IDEOGRAPHS = "[一-龥\u3040-\u309f\u30a0-\u30ff]+"
_O200K_PREFIX = r"[^\r\n\p{L}\p{N}]?"
_O200K_UPPER, _O200K_LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def _quantified(digits: int | None) -> str:
    if digits is None:
        return r"\p{N}+"
    return r"\p{N}" if digits == 1 else rf"\p{{N}}{{1,{digits}}}"


def split_patterns(name: Name, digits: int | None = None, line_breaks: bool = True) -> tuple[str, ...]:
    """The expressions of pattern `name`, in the order they are applied; `digits` None: the pattern's own."""
    number = _quantified(DIGITS[name] if digits is None else digits)
    breaks = r"[\r\n]*" if line_breaks else ""
    if name == "deepseek_v3":
        literal = "[\r\n]*" if line_breaks else ""  # the released file has the characters, not escapes
        return (
            number,
            _IDEOGRAPHS,
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
            "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            f"| ?[\\p{{P}}\\p{{S}}]+{literal}"
            "|\\s*[\r\n]+"
            "|\\s+(?!\\S)"
            "|\\s+",
        )
    if name == "gpt2":
        return (rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?{number}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",)
    if name == "cl100k":
        return (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+"
            rf"|{number}| ?[^\s\p{{L}}\p{{N}}]+{breaks}"
            r"|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    if name == "o200k":
        slashes = r"[\r\n/]*" if line_breaks else ""
        return (
            f"{_O200K_PREFIX}{_O200K_UPPER}*{_O200K_LOWER}+{_CONTRACTIONS}?"
            f"|{_O200K_PREFIX}{_O200K_UPPER}+{_O200K_LOWER}*{_CONTRACTIONS}?"
            rf"|{number}| ?[^\s\p{{L}}\p{{N}}]+{slashes}"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    return (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
        rf"|{number}| ?[^\s\p{{L}}\p{{N}}]+{breaks}"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
