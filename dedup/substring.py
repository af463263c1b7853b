"""Repeated substrings, byte for byte, cut from documents that stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides
from corpusmill.pipelines.contract.windows import learned_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round


_STRETCHES = 2**24  # bytes of windows around anchors that are read at once
_MIN_BYTES = 200
_CODES = "codes"  # of tokens (`kernels.token_codes`), beside the text


class _Libraries:
    """`Substring.libraries`: those that find tokens too, where tokens are compared."""

    def __get__(self, stage: Substring | None, owner: type[Substring]) -> tuple[str, ...]:
        of_tokens = ("gigatoken", "tokenizers") if stage is not None and stage.tokenizer else ()
        return ("numba", "numpy", *of_tokens)


class Substring(Exchange):
    """Cut every run of at least `min_bytes` bytes that stands elsewhere in the corpus, whatever is around it.

    With `keep: first` a byte is cut if it lies in a window of `min_bytes` bytes that stands in a better
    document too, or further to the front in its own; with `keep: none`, as in deduplicate-text-datasets (Lee
    et al. 2022, arXiv 2107.06499), if the window stands anywhere else. Windows lie in one document each.
    Better: earlier source in `priority`, more bytes, smaller id, smaller address. The result is exact: hashes
    choose what is compared, bytes are what is compared. A text of period p keeps its first p bytes.

    What is cut are whole characters, and with `bounds` whole words or lines: parts of them at the ends of a
    span stay. Spans that overlap or touch are one. Words are those of `minhash` (`normalize: fold`): a Han or
    Kana character is one. Reason: `repeated_substring`. How it works, and how it differs from suffix arrays:
    docs/deduplication.md.

    With `min_tokens` windows are of so many tokens of a `tokenizer`, as in Lee et al., and whole tokens are
    what repeats. Encoding takes its time then: gigatoken's, or 2 MB/s for a tokenizer that it does not know.

    Five steps: anchors of all windows are sent by hash; those that meet another ask for the text around them;
    stretches of text meet by anchor; spans that repeat are united by document.

    Memory: 130 bytes an anchor of a partition, of which a text has about 2 / `min_bytes` a byte, 32 MiB of
    them at once in the first step; where everything repeats, about 9 times the text of a partition, and of a
    passage that very many documents have 0.25 KB and `min_bytes` and more of text a document. Disk: a copy
    of the text, an anchor 40 bytes; with `min_tokens` 6 to 7 bytes a token more.
    """

    name: ClassVar[str] = "substring"
    libraries: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Libraries())
    address_only: ClassVar[bool] = True

    min_bytes: int | None = Field(
        None,
        ge=2,
        le=10_000,
        description="Bytes of the shortest repeat that is cut; null: 200, which are about 50 tokens (Lee et "
        "al.), unless `min_tokens` is given.",
    )
    min_tokens: int | None = Field(
        None, ge=2, le=2_000, description="Tokens of the shortest repeat that is cut, instead of `min_bytes`."
    )
    tokenizer: Path | None = Field(
        None, description="The tokenizer of `min_tokens`: tokenizer.json of a byte-level BPE."
    )
    keep: Literal["first", "none"] = Field(
        "first", description="Keep what repeats where it stands first, or nowhere (Lee et al.)."
    )
    bounds: Literal["characters", "words", "lines"] = Field(
        "words", description="Cut whole characters, words or lines; parts of them at either end stay."
    )
    sources: list[str] = Field([], description="Sources that are compared and cut; none named: all.")
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.min_tokens is None) != (self.tokenizer is None):
            raise ValueError(
                "`min_tokens` and `tokenizer` go together: name the tokenizer.json whose tokens are counted"
            )
        if self.min_tokens is not None and self.min_bytes is not None:
            raise ValueError("give `min_bytes` or `min_tokens`, not both")
        return self

    @property
    def _length(self) -> int:
        """Bytes of a window of what is compared."""
        if self.min_tokens is None:
            return self.min_bytes or _MIN_BYTES
        from corpusmill.dedup.kernels.token_codes import window_bytes

        return window_bytes(self.min_tokens)

    def warm(self) -> None:
        """Compile the kernels on nothing."""
        from corpusmill.dedup.matching import substrings

        substrings.warm(self._length)

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row an anchor; side: text and facts of each document."""
        import pyarrow as pa

        from corpusmill.dedup.matching import substrings
        from corpusmill.dedup.matching.pieces import facts, of_sources

        chosen = of_sources(docs, self.sources)
        side, texts = facts(docs).append_column("text", docs.text), docs.text
        if self.tokenizer is not None:
            from corpusmill.dedup.matching.token_texts import ENDS, speller

            texts, ends = speller(self.tokenizer).spelt(docs, chosen)
            side = side.append_column(_CODES, texts).append_column(ENDS, ends)
        if not chosen.all():
            texts = texts.filter(pa.array(chosen))
        found = substrings.anchor_rows(texts, unit, rows[chosen], self._length, self.keep == "first")
        return Emitted(found, side)

    def rounds(self) -> Sequence[Round | WithSides]:
        """By anchor, those that stand in several places; by document, the text around each of its anchors; by
        anchor, the spans that repeat; by document, edits."""
        from corpusmill.dedup.matching import substrings

        company = learned_first(substrings.learn_anchors, substrings.of_several)
        around = WithSides(self.read_around, at_once=max(1, _STRETCHES // self._length))
        return (company, around, self.compare, WithSides(self.cut))

    def read_around(self, rows: pa.Table, side: pa.Table) -> pa.Table:
        """Round 2, by document: the text around each of its anchors."""
        from corpusmill.dedup.matching import substrings

        compared = "text" if self.tokenizer is None else _CODES
        return substrings.stretches(rows, side, compared, self._length)

    def compare(self, rows: pa.Table) -> pa.Table:
        """Round 3, by anchor: the spans that repeat."""
        from corpusmill.dedup.matching import substrings

        return substrings.repeated_spans(rows, self._length, self.keep == "first", self.priority)

    def cut(self, rows: pa.Table, side: pa.Table) -> Found:
        """Round 4, by document: edits."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.dedup.matching import substrings

        if self.tokenizer is not None:
            rows = substrings.of_text(rows, side)
        edits = substrings.united(rows, side, self.bounds)
        reason = pa.array(["repeated_substring"]).take(pa.array(np.zeros(len(edits), np.int64)))
        return Found(edits=edits.append_column("reason", reason))
