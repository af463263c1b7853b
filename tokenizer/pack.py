"""`pack`: tokens into rows of one length, and rows into token shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from corpusmill.pipelines.contract.stage import Context, Write
from corpusmill.tokenizer.boundary.options import SplitBoundary
from corpusmill.tokenizer.fim.options import Fim

if TYPE_CHECKING:
    import pyarrow as pa


class Pack(Write):
    """Pack the documents of one partition into rows of `sequence_length` tokens and write one token shard.

    `best_fit` (Ding et al. 2024, arXiv 2404.10830; "document packing for data integrity" in DeepSeek-V3's
    report, section 4.1, without masks between documents): an item longer than a row is cut into full rows
    and a remainder; remainders and whole items are placed longest first, each in the fullest row it fits.
    `greedy`: items in the order they come, each behind the one before it if its row has room, else in a new
    one; longer ones are cut likewise. `concat`: items one after the other, cut wherever a row ends. Shards
    count what each method costs: padding, documents divided over rows, and tokens that have another document
    before them in their row. An item is a document, or the documents
    of one `group` and epoch in the order of `group_rank`. Ends of rows that nothing fits are padded, and
    counted. Rows are then put in a seeded random order, since packing sorts by length.

    The number of shards follows from `shard_tokens`; a group stays in one, unless its texts have more bytes
    than that (`draw`). Options that are not of packing
    are passed to `encode`.

    Documents are held out by families (a repository, a site; `contract.held_out`) after removing what stands
    both in them and elsewhere (`hold_out`). They are packed once each, alone and never framed for filling in,
    into shards of their own beside the others, on which the model is judged. A source of few documents may
    have none at 1%: give more then.

    Writes `shard-<partition>.arrow` and, with `held_out`, `heldout-<partition>.arrow` (`shards.format`; the
    metadata's `split` tells them apart). Every token that comes in is in one of them, or IntegrityError is
    raised. Memory: three times the partition's tokens.
    """

    libraries: ClassVar[tuple[str, ...]] = ("pyarrow", "numba")
    consumes: ClassVar[tuple[str, ...]] = ("tokens",)
    artefacts: ClassVar[tuple[str, ...]] = ("tokenizer",)

    sequence_length: int = Field(
        4096, ge=8, le=2**20, description="Tokens of a row (DeepSeek-V3's pre-training: 4,096)."
    )
    shard_tokens: int = Field(2**25, ge=2**10, le=2**31, description="Tokens of a shard, about.")
    method: Literal["best_fit", "greedy", "concat"] = Field(
        "best_fit",
        description="Place documents in the fullest row they fit, in the last one if it fits, or end to end.",
    )
    fim: Fim = Field(default_factory=Fim, description="Fill-in-the-middle, on characters before encoding.")
    split_boundary: SplitBoundary = Field(
        default_factory=SplitBoundary,
        description="Random splitting of tokens that combine punctuation and line breaks.",
    )
    add_bos: bool = Field(False, description="Put the token bos before each document.")
    add_eos: bool = Field(True, description="Put the token eos after each document.")
    encoder: Literal["verified", "tokenizers"] = Field(
        "verified", description="Encode with gigatoken where it agreed with `tokenizers`, or with the latter."
    )
    verify_rate: float = Field(
        0.001, ge=0.0, le=1.0, description="Share of documents up to 16 KiB that both encoders encode."
    )
    held_out: float = Field(
        0.01, ge=0.0, le=0.5, description="Share of documents that no model is trained on; 0: none."
    )

    _context: Context | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _rows_fit_shards(self) -> Self:
        if self.sequence_length > self.shard_tokens:
            raise ValueError(
                f"a row of {self.sequence_length:,} tokens is more than a shard has: most of it would be "
                f"padding; set `shard_tokens` to {self.sequence_length:,} or more"
            )
        return self

    def encode_options(self) -> dict[str, Any]:
        """Options for `encode`, which runs before the mixture and so before packing."""
        names = ("fim", "split_boundary", "add_bos", "add_eos", "encoder", "verify_rate", "held_out")
        return {name: getattr(self, name) for name in names}

    def roles_needed(self, phases_frame: bool = False) -> dict[str, str]:
        """Roles of special tokens that encoding and packing need; how to do without each, if possible.

        `phases_frame`: whether a phase of the mixture asks for fill-in-the-middle."""
        needed = {"pad": ""}
        if self.add_bos:
            needed["bos"] = "without it `pack: {add_bos: false}`"
        if self.add_eos:
            needed["eos"] = "without an end of documents `pack: {add_eos: false}`"
        if self.fim.asked() or phases_frame:
            cure = "without fill-in-the-middle `fim: {rate: 0}`, in phases too"
            needed |= dict.fromkeys(("fim_begin", "fim_hole", "fim_end"), cure)
        return needed

    def mixture_options(self) -> dict[str, Any]:
        """Options for the mixture, which plans without the documents held out and draws into shards."""
        return {"held_out": self.held_out, "shard_tokens": self.shard_tokens}

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        ready._context = context
        return ready

    def warm(self) -> None:
        import numpy as np

        from corpusmill.tokenizer.packing.rows import pack_rows

        one = np.ones(1, np.int64)
        for dtype in (np.uint16, np.uint32):
            pack_rows(
                *(one - 1, one, np.arange(2)),
                np.zeros(1, dtype),
                *(self.sequence_length, 0, 0),
                in_order=self.method == "greedy",
            )

    def write(self, rows: pa.Table, partition: int, folder: Path) -> dict[str, Any]:
        from corpusmill.tokenizer.packing.shard import write_partition

        if self._context is None:
            raise RuntimeError("pack needs the tokenizer's facts: call prepare first")
        return write_partition(rows, partition, folder, self, self._context)
