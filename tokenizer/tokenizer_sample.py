"""`tokenizer_sample`: choose the documents that the tokenizer is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.pipelines.contract.stage import Context, Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.held_out import HeldOut
    from corpusmill.tokenizer.bpe.sample_histogram import Capture

# A verification text has at most this share of `verification_bytes`, so that there are many of them.
_VERIFICATION_TEXTS = 64


class TokenizerSample(Seeded, Fold):
    """Choose, by seeded draws of document ids, what a tokenizer is trained, verified and judged on.

    Of each stratum, the documents of one source and language (`und` where unknown), those of smallest draw
    are chosen, as many as stay within its budget (in bytes of UTF-8; at least the first bin of draws, which
    is one document or a few where the budget is smaller than it). Documents are cut at a character. What is
    chosen depends neither on the order of documents nor on how they are divided.

    `budgets` gives some of `sample_bytes` to a source or to one language of a source, at most what there is.
    All other strata share what is left: where it is enough, each is taken whole; else in proportion to their
    bytes to the power of `stratum_exponent`, none more than it has (0.3, as for multilingual models in
    Conneau and Lample 2019: small languages get more).

    What is held out is chosen by families (`contract.held_out`); what `pack` holds out is not trained on
    either. Acceptance judges on them. Of the texts for verifying encoders, which come from all documents,
    long ones are cut to a 64th of `verification_bytes`; of a corpus most of which is masked, or in a few long
    documents, they may make less than `verification_bytes`.

    Memory: a histogram of some hundred bins for each stratum, and the texts. Artefact: sample.json (options,
    and for each stratum documents and bytes offered, chosen and held out, budget and threshold) and
    verification.arrow (one column, text). Raises UserError where there is nothing to choose.
    """

    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)
    consumes: ClassVar[tuple[str, ...]] = ("text",)

    sample_bytes: int = Field(2**30, ge=2**10, le=2**40, description="Bytes of UTF-8 of the whole sample.")
    budgets: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        description='Bytes of the sample for a source ("web") or a language of one ("web/zh").',
    )
    max_document_bytes: int = Field(
        2**20, ge=2**8, le=2**30, description="Bytes at the start of a document that may be in the sample."
    )
    held_out: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="Share of documents that the tokenizer is judged on and never trained on.",
    )
    verification_bytes: int = Field(
        4 * 2**20, ge=2**12, le=2**30, description="Bytes of texts kept to verify encoders on."
    )
    stratum_exponent: float = Field(
        1.0, ge=0, le=1, description="Shares of sources and languages: 1 as in the corpus, 0 equal."
    )

    _apart: HeldOut | None = PrivateAttr(default=None)
    _most_drawn: int = PrivateAttr(default=2**64 - 1)

    @model_validator(mode="after")
    def _budgets_fit(self) -> Self:
        if self.max_document_bytes > self.sample_bytes:
            raise ValueError("max_document_bytes is larger than sample_bytes; lower it")
        if sum(self.budgets.values()) > self.sample_bytes:
            raise ValueError("budgets are more than sample_bytes together; raise it, or lower them")
        return self

    def prepare(self, context: Context) -> Self:
        from corpusmill.pipelines.contract.held_out import HeldOut

        ready = super().prepare(context)
        ready._apart = HeldOut.of(context, "tokenizer", self.held_out)
        return ready

    def of_corpus(self, documents: int, size: int) -> Self:
        """For verification it keeps texts of so small a draw that twice as many are expected as there is room
        for, be it of their bytes or, were all long, of their number."""
        share = max(2 * self.verification_bytes / max(1, size), 2 * _VERIFICATION_TEXTS / max(1, documents))
        ready = self.model_copy()
        ready._most_drawn = min(2**64 - 1, int(share * 2**64))
        return ready

    def marks(self) -> Marks:
        from corpusmill.pipelines.contract.held_out import marks_for

        return marks_for("tokenizer")

    def _known_apart(self) -> HeldOut:
        if self._apart is None:
            raise RuntimeError("tokenizer_sample needs to know what is held out: call prepare first")
        return self._apart

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        return self._capture().partial(batches)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        return self._capture().combined(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Decide on the thresholds and write the artefact; returns what sample.json says."""
        import pyarrow.compute as pc

        from corpusmill.tokenizer.bpe.sample_histogram import texts_of
        from corpusmill.tokenizer.bpe.sampling import draw_sample, write_sample

        sample = draw_sample(
            part.filter(pc.is_valid(part.column("bin"))),
            seed=self.known_seed(),
            sample_bytes=self.sample_bytes,
            budgets=self.budgets,
            max_document_bytes=self.max_document_bytes,
            held_out=self.held_out,
            apart=self._known_apart(),
            exponent=self.stratum_exponent,
        )
        return write_sample(folder, sample, texts_of(part))

    def _capture(self) -> Capture:
        from corpusmill.tokenizer.bpe.sample_histogram import Capture

        return Capture(
            self.known_seed(),
            self.max_document_bytes,
            self._known_apart(),
            self.verification_bytes,
            self.verification_bytes // _VERIFICATION_TEXTS,
            self._most_drawn,
        )
