"""`perplexity`: how surprising a text is to a language model of texts that the recipe trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from corpusmill.filters.rules.limits import ByLanguage, Languages, Limits, LimitsByLanguage, Share
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.rules import over, under
from corpusmill.pipelines.contract.stage import Context

if TYPE_CHECKING:
    from corpusmill.filters.rules.ngram_model import Ready
    from corpusmill.filters.rules.percentiles import Cuts


class PerplexityLimits(Limits):
    """Limits of perplexity; null switches one off."""

    at_least: float | None = Field(
        None, ge=1, description="Least perplexity of a document that is kept; null: no limit."
    )
    at_most: float | None = Field(
        None, ge=1, description="Largest perplexity of a document that is kept; null: no limit."
    )
    at_most_share: Share | None = Field(
        None,
        description="Largest `share` of a document that is kept (CCNet's head and middle: 0.6); null: none.",
    )


class Perplexity(LimitsByLanguage, PerplexityLimits):
    """Score texts by their perplexity under a model of trusted texts, and remove those that surprise it.

    `perplexity` is 10 ** (-log10 P / N), P being the probability of the text's lines and N how many words and
    ends of lines it has, as CCNet has it (Wenzek et al. 2020, arXiv 1911.00359, `perplexity.py`): the model
    is one that `train_perplexity` made of words, not KenLM's of sentence pieces, so the numbers are others.
    `share` is about what share of the documents of its language, of those that come to this step, have a
    smaller one, and `bucket` what CCNet calls that: `head` below `head`, `middle` below `tail`, else `tail`.
    `unknown` is the share of words that the model does not know. The whole text counts.

    A document without words, or in a language that the model does not know, has no scores and is kept; one
    of a language with few documents has no `share`. `by_language` gives other limits. Reasons:
    low_perplexity, high_perplexity, perplexity_tail. Memory: 24 to 48 bytes an n-gram. Time: linear.
    """

    artefacts: ClassVar[tuple[str, ...]] = ("model", "percentiles")
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    produces: ClassVar[tuple[str, ...]] = tuple(
        f"perplexity.{name}" for name in ("perplexity", "share", "bucket", "unknown")
    )

    languages: Languages = None
    by_language: ByLanguage[PerplexityLimits] = Field({})
    head: Share = Field(0.3, description="Share of a language's documents in the bucket `head` (CCNet: 0.3).")
    tail: Share = Field(0.6, description="Share from which documents are in the bucket `tail` (CCNet: 0.6).")

    rules = (
        under("perplexity", "at_least", "low_perplexity"),
        over("perplexity", "at_most", "high_perplexity"),
        over("share", "at_most_share", "perplexity_tail"),
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.head > self.tail:
            raise ValueError(f"`head` {self.head:g} is over `tail` {self.tail:g}; make it the smaller one")
        return self

    _ready: Ready | None = PrivateAttr(default=None)
    _cuts: Cuts = PrivateAttr(default_factory=dict)

    def prepare(self, context: Context) -> Self:
        """With model and percentiles loaded. Raises DataError where their files are damaged."""
        from corpusmill.filters.rules.ngram_model import HEADER, read_model, ready
        from corpusmill.filters.rules.percentiles import FILE, read_percentiles

        found = self.model_copy()
        found._ready = ready(read_model(context.artefact("model", HEADER).parent))
        found._cuts = read_percentiles(context.artefact("percentiles", FILE))
        return found

    def warm(self) -> None:
        """Compile the kernels on no documents."""
        from corpusmill.filters.rules.ngram_model import NgramModel, ready
        from corpusmill.pipelines.contract.documents import SCHEMA

        none = NgramModel(np.zeros(0, np.uint64), np.zeros((0, 2), np.float32), 1, {})
        ready(none).perplexities(Documents(SCHEMA.empty_table()))

    def measure(self, docs: Documents, numbers: npt.NDArray[np.int64]) -> Columns:
        """`perplexity`, `share` and `unknown` double[n] and `bucket` string[n], null where there is none."""
        import pyarrow.compute as pc

        from corpusmill.filters.rules.percentiles import shares_below

        if self._ready is None:
            raise RuntimeError("perplexity needs prepare(context) before it can score")
        perplexities, unknown = self._ready.perplexities(docs)
        codes = docs.column("lang").cast(pa.string()).to_pylist()
        shares = shares_below(perplexities, codes, self._cuts)
        later = pc.if_else(pc.less(shares, self.tail), "middle", "tail")
        bucket = pc.if_else(pc.less(shares, self.head), "head", later)
        return {"perplexity": perplexities, "share": shares, "bucket": bucket, "unknown": unknown}
