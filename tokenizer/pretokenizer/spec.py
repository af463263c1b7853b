"""Which pre-tokenizer a tokenizer has: a named pattern or own expressions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corpusmill.tokenizer.pretokenizer.patterns import (
    DIGITS,
    NAMES,
    WITHOUT_LINE_BREAKS,
    Name,
    split_patterns,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_DIGITS = 16
_SHOWN = 200  # characters of an expression in a message
UNLIMITED = 2**62  # digits in one pre-token


class PreTokenizer(BaseModel):
    r"""How text is cut into pre-tokens, which no token ever crosses.

    Definitions and sources of the named patterns: `patterns.py`. A list of regular expressions is applied one
    after the other, each isolating its matches in the pieces the one before left. They are read as
    `tokenizers` reads them (Oniguruma, its own syntax).
    Named patterns have a kernel of some hundred MB/s; lists that equal one of them use it too; others go
    through `tokenizers` at 1 to 30 MB/s. Oniguruma backtracks and promises no linear time: an expression
    such as `(a+)+b` can take time exponential in a document's length before its limit of attempts stops it.

    The patterns' own `digits` are 3 (deepseek_v3, cl100k, o200k, llama3), 1 (qwen) or unlimited (gpt2). A
    digit is any character of class N, as in the patterns. `digits` and `punctuation_line_breaks` are for
    named patterns alone; gpt2 never combines punctuation and line breaks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: Name | tuple[str, ...] = Field(
        "deepseek_v3", description="Name of a pattern, or a list of regular expressions applied in order."
    )
    digits: int | None = Field(
        None, ge=1, le=MOST_DIGITS, description="Most digits in one pre-token; null: as in the named pattern."
    )
    punctuation_line_breaks: bool = Field(
        True, description="Let punctuation take the line breaks after it, as DeepSeek-V3 does."
    )

    @field_validator("pattern", mode="before")
    @classmethod
    def _known(cls, pattern: Any) -> Any:
        if isinstance(pattern, str) and pattern not in NAMES:
            raise ValueError(
                f"no pre-tokenizer is called {pattern!r}; known are {', '.join(NAMES)}; "
                "write a regular expression of your own as a list: [EXPRESSION]"
            )
        return pattern

    @model_validator(mode="after")
    def _options_apply(self) -> Self:
        if isinstance(self.pattern, str):
            if not self.punctuation_line_breaks and self.pattern in WITHOUT_LINE_BREAKS:
                raise ValueError(
                    f"{self.pattern} never combines punctuation and line breaks: leave the option out"
                )
            return self
        if self.digits is not None or not self.punctuation_line_breaks:
            raise ValueError("digits and punctuation_line_breaks change named patterns; edit the expression")
        if not self.pattern:
            raise ValueError("the list of regular expressions is empty")
        for expression in self.pattern:
            fault = _fault(expression)
            if fault:
                shown = expression if len(expression) <= _SHOWN else expression[: _SHOWN - 3] + "..."
                raise ValueError(f"the regular expression {shown!r} cannot be used: {fault}")
        return self

    @classmethod
    def of(cls, regexes: tuple[str, ...]) -> PreTokenizer:
        """The pre-tokenizer with these expressions, by name and options where it has them."""
        known = _by_regexes().get(regexes)
        if known is None:
            return cls(pattern=regexes)
        name, digits, breaks = known
        return cls(pattern=name, digits=digits, punctuation_line_breaks=breaks)

    def regexes(self) -> tuple[str, ...]:
        """The expressions, in the order they are applied."""
        if isinstance(self.pattern, str):
            return split_patterns(self.pattern, self.digits, self.punctuation_line_breaks)
        return self.pattern

    def splits(self) -> list[Any]:
        """One `tokenizers.pre_tokenizers.Split` for each expression."""
        from tokenizers import Regex, pre_tokenizers

        return [pre_tokenizers.Split(Regex(regex), "isolated") for regex in self.regexes()]

    def hugging_face(self) -> Any:
        """`tokenizers.pre_tokenizers.Sequence`: the splits, then bytes shown as characters (ByteLevel).

        Its JSON is the released one: for `PreTokenizer()` that of DeepSeek-V3; for gpt2, of GPT-2: ByteLevel
        alone, which has the expression built in and by which other libraries, gigatoken among them, know it.
        """
        from tokenizers import pre_tokenizers

        if self.regexes() == split_patterns("gpt2"):
            return pre_tokenizers.ByteLevel(add_prefix_space=False)
        shown = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pre_tokenizers.Sequence([*self.splits(), shown])

    def code(self) -> npt.NDArray[np.int64] | None:
        """The parameters of `kernels.pretokenize.next_end`, int64[4]; None: no kernel, use `general_ends`."""
        import numpy as np

        from corpusmill.tokenizer.kernels.pretokenize import CL100K, DEEPSEEK, GPT2, O200K

        known = _by_regexes().get(self.regexes())
        if known is None:
            return None
        name, digits, breaks = known
        families = {"deepseek_v3": DEEPSEEK, "gpt2": GPT2, "o200k": O200K}
        most = digits or DIGITS[name] or UNLIMITED
        return np.array([families.get(name, CL100K), most, breaks, name == "cl100k"], np.int64)


@cache
def _by_regexes() -> dict[tuple[str, ...], tuple[Name, int | None, bool]]:
    """Every named pattern with every option, by its expressions; the plainest spelling of equal ones."""
    known: dict[tuple[str, ...], tuple[Name, int | None, bool]] = {}
    for digits in (None, *range(1, MOST_DIGITS + 1)):
        for name in NAMES:
            for breaks in (True, False) if name not in WITHOUT_LINE_BREAKS else (True,):
                known.setdefault(split_patterns(name, digits, breaks), (name, digits, breaks))
    return known


def _fault(expression: str) -> str:
    """Why `expression` cannot be used; empty if it can."""
    from tokenizers import Regex

    if not expression:
        return "it is empty"
    try:
        Regex(expression)
    except Exception as error:  # noqa: BLE001  # `tokenizers` raises bare Exception
        return str(error)
    return ""


def in_full(value: Name | PreTokenizer | None) -> PreTokenizer | None:
    """An option that may be the name of a pattern alone, in full."""
    return PreTokenizer(pattern=value) if isinstance(value, str) else value
