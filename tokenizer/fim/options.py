"""Options of fill-in-the-middle: `encode` applies them, a recipe writes them under `pack`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["characters", "lines", "syntax"]


USUAL = 0.1


class Fim(BaseModel):
    """Fill-in-the-middle (Bavarian et al. 2022, arXiv 2207.14255), on characters before encoding.

    A document chosen with probability `rate` is split in two of its places, drawn uniformly (sorted; equal
    ones give an empty middle), and framed, before anything is packed, as DeepSeek-V3 does (report, section
    4.1). Its places are its two ends and every bound between characters as a reader sees them (extended
    grapheme clusters, Unicode Standard Annex 29: a letter is never parted from its marks), or with `split:
    lines` every bound of lines (LF, CR LF, CR). With `split: syntax` a place is drawn between characters and
    moved to the nearest bound of a syntax node (`fim.syntax_places`); files of languages without a grammar
    are split between lines.

    - `psm`: `<fim_begin> prefix <fim_hole> suffix <fim_end> middle`
    - `spm`: `<fim_begin> <fim_hole> suffix <fim_end> prefix middle`, the same three control tokens with
      the parts in suffix-prefix-middle order. Prefix and middle are encoded separately, so that the
      document can be put together again.

    The report gives the rate 0.1 and PSM; how it draws split points is not stated: the paper's way is
    used. The draw depends on the recipe's seed and the document's id alone, and with `each_epoch` on the
    number of the copy: each of `max_epochs` copies that a mixture may take of a document is then encoded
    where it is framed differently than the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Share of documents that is framed; 0: none; null: 0.1, as DeepSeek-V3, where the "
        "tokenizer has the tokens for it, else none.",
    )
    rates: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field(
        default_factory=dict, description="Share by source, where it is another than `rate`."
    )
    mode: Literal["psm", "spm"] = Field(
        "psm", description="Order of prefix, suffix and middle (DeepSeek-V3: psm)."
    )
    split: Split = Field(
        "characters", description="Places to split at: between characters, lines or syntax nodes."
    )
    splits: dict[str, Split] = Field(
        default_factory=dict, description="Places by source, where they are others than `split`."
    )
    domains: list[str] | None = Field(
        None, description="Domains whose documents may be framed; null: all (DeepSeek-V3)."
    )
    each_epoch: bool = Field(
        False, description="Draw anew for each copy of a document that the mixture takes."
    )

    def rate_of(self, source: str) -> float:
        """The share of a source's documents that is framed, by a tokenizer with the tokens for it."""
        return self.rates.get(source, USUAL if self.rate is None else self.rate)

    def frames(self) -> bool:
        """Whether any document may be framed."""
        return self.rate is None or self.asked()

    def asked(self) -> bool:
        """Whether the recipe asks for it, so that the tokenizer must have the tokens."""
        return bool(self.rate) or any(rate > 0 for rate in self.rates.values())

    def with_tokens(self, there: bool) -> Fim:
        """The settings with a rate, for a tokenizer that has the tokens, or lacks them."""
        return self if self.rate is not None else self.model_copy(update={"rate": USUAL if there else 0.0})

    def splits_by(self, split: Split) -> bool:
        """Whether documents of any source may be split at such places."""
        return self.split == split or split in self.splits.values()
