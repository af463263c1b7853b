"""`train_bpe`: train the tokenizer on a sample of the documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.stage import Fold, Seeded

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.documents import Documents

VERIFICATION_BYTES = 4 * 2**20  # of the sample's documents, on which the two encoders are compared


class TrainBpe(Seeded, Fold):
    """Train a byte-level BPE with DeepSeek-V3's pre-tokenizer (report, section 4.1; released tokenizer.json).

    The vocabulary is `vocab_size` entries: six special tokens at ids 0-5 (bos, eos, pad, FIM hole, begin
    and end, spelt as in DeepSeek-V3; there the FIM ones stand at the end), the 256 bytes, and merges, each
    of a pair seen at least `min_frequency` times. A sample too small for that many merges gives a smaller
    vocabulary; `training.json` says so.

    Sample: documents in the order of a seeded draw of their ids until `sample_bytes` bytes of UTF-8 text
    are reached (by the last one, whole); of a document longer than `max_document_bytes` only the beginning
    counts. All sources together are drawn from as they come, not weighted. Pre-tokens over 256 characters
    are cut while training only, which bounds its time. Trainer: `tokenizers`; the result does not depend on
    its threads.

    Difference from the report: the random splitting of tokens that combine punctuation and line breaks,
    of which it gives no proportion, is not done.

    Artefact: tokenizer.json, tokenizer_config.json (both read by transformers), training.json (facts) and
    encoder.json (which encoder reproduces it: `bpe.encoders`).
    """

    libraries: ClassVar[tuple[str, ...]] = ("tokenizers", "gigatoken", "pyarrow")
    consumes: ClassVar[tuple[str, ...]] = ("text",)

    vocab_size: int = Field(default=8192, ge=262, le=2**20)
    sample_bytes: int = Field(default=256 * 2**20, ge=2**10, le=2**36)
    max_document_bytes: int = Field(default=2**20, ge=2**8, le=2**30)
    min_frequency: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _one_document_fits(self) -> Self:
        if self.max_document_bytes > self.sample_bytes:
            raise ValueError("max_document_bytes is larger than sample_bytes; lower it")
        return self

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        from corpusmill.tokenizer.bpe.sample import sample

        return sample(batches, self.known_seed(), self.sample_bytes, self.max_document_bytes)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        from corpusmill.tokenizer.bpe.sample import smallest

        return smallest(pa.concat_tables(parts), self.sample_bytes)[0]

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Train on `part` (SAMPLE) and write the artefact; returns what training.json says."""
        from tokenizers import pre_tokenizers, trainers

        from corpusmill.pipelines.errors import UserError
        from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, as_trained, new_tokenizer
        from corpusmill.tokenizer.bpe.encoders import write_tokenizer

        if part.num_rows == 0:
            raise UserError("no documents to train a tokenizer on: every source is empty after its steps")
        tokenizer = new_tokenizer(training=True)
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=list(SPECIAL_TOKENS.values()),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_texts(part), trainer, length=part.num_rows)
        verification = _verification(part)
        encoder = write_tokenizer(folder, as_trained(tokenizer), SPECIAL_TOKENS, verification)
        facts = self._facts(part, encoder)
        (folder / "training.json").write_text(
            json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        return facts

    def _facts(self, part: pa.Table, encoder: dict[str, Any]) -> dict[str, Any]:
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.documents import Documents

        sizes = np.diff(Documents(part).utf8("text")[0])
        by_source = (
            pa.table({"source": part.column("source"), "bytes": sizes})
            .group_by("source")
            .aggregate([("bytes", "sum"), ("bytes", "count")])
        )
        short = self.vocab_size - encoder["vocab_size"]
        return {
            "vocab_size_requested": self.vocab_size,
            "vocab_size": encoder["vocab_size"],
            "shortfall": None
            if short == 0
            else f"{short} entries fewer: no further pair occurs {self.min_frequency} times in the sample",
            "min_frequency": self.min_frequency,
            "seed": self.known_seed(),
            "documents": part.num_rows,
            "bytes": int(sizes.sum()),
            "sources": {
                row["source"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"]}
                for row in sorted(by_source.to_pylist(), key=lambda row: str(row["source"]))
            },
            "encoder": encoder,
        }


def _texts(part: pa.Table) -> Iterator[str]:
    for batch in part.select(["text"]).to_batches(max_chunksize=256):
        yield from batch.column(0).to_pylist()


def _verification(part: pa.Table) -> pa.Array:
    """The first documents of the sample, as many as fit VERIFICATION_BYTES (at least one)."""
    import numpy as np

    from corpusmill.pipelines.documents import Documents

    docs = Documents(part)
    ends = np.cumsum(np.diff(docs.utf8("text")[0]))
    return docs.text.slice(0, max(1, int(np.searchsorted(ends, VERIFICATION_BYTES, side="right"))))
