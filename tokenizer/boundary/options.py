"""Options of boundary splitting: `encode` applies them, a recipe writes them under `pack`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SplitBoundary(BaseModel):
    """Split some of the tokens that combine punctuation and line breaks (DeepSeek-V3 report, section 4.1).

    A pre-tokenizer that lets punctuation take the line breaks after it yields tokens such as `;\\n`. A
    model trained on them has hardly ever seen `;` followed by a line break of its own, so after a prompt
    that ends in `;` it avoids the line break (token-boundary bias, Lundberg 2023). The cure of the report:
    in the training data, a proportion of these tokens is split at random.

    A token is *combined* where its bytes end in line breaks (`\\n` or `\\r`) and something before these is
    not white space, or not valid UTF-8 (the end of a cut character). In DeepSeek-V3's vocabulary that is
    801 tokens; 42 of white space and line breaks alone are not meant. Each combined token is replaced, with
    probability `rate`, by its two parts as the model's own merges encode them: what stands before the
    trailing line breaks, and these. The bytes stay, so decoding is unchanged; no other token changes.

    The draw depends on the recipe's seed, the document's id and the token's position in the document alone.
    Tokens before the combined one stay, even where the pre-token without its line breaks would be encoded
    otherwise as a whole.

    The report gives no proportion. 0.1 is this project's choice: as with fill-in-the-middle, one in ten
    shows the other form often enough to be learnt, and nine tenths of what the combined tokens save is
    kept: 6% of DeepSeek-V3's tokens of code, Chinese, English and LaTeX are combined, so there are 0.6%
    more tokens. 0 switches it off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="Share of combined tokens that is split (the report gives none); 0: off.",
    )
