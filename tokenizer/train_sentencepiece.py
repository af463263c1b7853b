"""`train_sentencepiece`: train the tokenizer with SentencePiece instead of the project's own trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Fold

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.tokenizer.bpe.sampling import Sample


class TrainSentencepiece(Fold):
    """Train SentencePiece's BPE with byte fallback (Kudo and Richardson 2018; the library `sentencepiece`).

    Trained on the documents that `tokenizer_sample` chose, of each the beginning it says. Merges are learned
    inside words, a word being what stands between spaces and beginning with its space; characters of
    different scripts do not join, runs of white space may join. The vocabulary is at most `vocab_size`
    entries: bos, eos, pad, FIM hole, begin and end at 0-5, the unknown piece, which nothing gives, 256 bytes,
    pieces, and the most frequent characters. Other characters become their bytes. A sample too small for so
    many pieces gives a smaller vocabulary, which training.json tells.

    Differences from SentencePiece's defaults: text is not normalized, no space is put before it and none is
    removed, so that every document comes back as it was; lines of more than `longest_line` characters are
    cut while training only, which bounds its time, and not skipped; one thread. Lines lose NUL, U+2581 and
    U+2585 while training only (the library skips lines that hold them, or takes U+2581 for a space).

    Memory: the chosen text in `finish`, and several times as much inside the library; 27 MB of text take
    about 10 s and 0.4 GB on one core. Give `sample_bytes` accordingly.

    Artefact: that of `train_bpe` without growth.json, and tokenizer.model. tokenizer.json gives the ids of
    tokenizer.model for every text without U+2581, which the library takes for a space and which becomes three
    bytes here (`pieces.definition`).
    Raises UserError where `vocab_size` cannot hold the characters of the coverage, and LedgerError where the
    documents are not those the sample was drawn from.
    """

    libraries: ClassVar[tuple[str, ...]] = ("sentencepiece", "tokenizers", "gigatoken", "pyarrow")
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    artefacts: ClassVar[tuple[str, ...]] = ("tokenizer_sample",)

    vocab_size: int = Field(8192, ge=264, le=2**20, description="Most entries of the vocabulary, all told.")
    character_coverage: float = Field(
        0.9995,
        gt=0.9,
        le=1.0,
        description="Share of the text's characters that have an entry (SentencePiece: 0.9995).",
    )
    split_digits: bool = Field(True, description="Keep every digit a piece of its own.")
    max_piece_length: int = Field(
        16, ge=2, le=512, description="Most characters of a piece (SentencePiece: 16)."
    )
    longest_line: int = Field(
        4096, ge=64, le=2**16, description="Characters beyond which lines are cut, while training only."
    )
    pad_vocabulary_to: int | None = Field(
        None, ge=264, le=2**24, description="Ids that a model makes room for; null: no more."
    )

    _sample: Any = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.tokenizer.bpe.sampling import FILE, read_sample

        path = context.artefact("tokenizer_sample", FILE)
        ready = self.model_copy()
        ready._sample, ready._folder = read_sample(path), path.parent
        return ready

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """The chosen documents of one unit: id, source, text."""
        import pyarrow as pa

        from corpusmill.tokenizer.pieces.training import beginnings

        sample = self._known_sample()
        schema = pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.large_string())])
        parts = [schema.empty_table()]
        for docs in batches:
            chosen = docs.keep(sample.choose(docs))
            texts = beginnings(chosen.text, sample.stops(chosen.text))
            columns = [chosen.column("id"), chosen.column("source").cast(pa.string()), texts]
            parts.append(pa.Table.from_arrays(columns, schema=schema))
        return pa.concat_tables(parts)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Train and write the artefact; returns what training.json says."""
        from corpusmill.tokenizer.bpe.artefact import write_tokenizer
        from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
        from corpusmill.tokenizer.bpe.sampling import TEXTS_FILE, read_verification
        from corpusmill.tokenizer.pieces.definition import definition_of_model
        from corpusmill.tokenizer.pieces.model_file import read_model
        from corpusmill.tokenizer.pieces.training import train_model

        part = part.sort_by([("id", "ascending"), ("text", "ascending")]).combine_chunks()
        facts = self._counted(part)
        model = train_model(
            part.column("text").combine_chunks(),
            vocab_size=self.vocab_size,
            special_tokens=SPECIAL_TOKENS,
            character_coverage=self.character_coverage,
            split_digits=self.split_digits,
            longest_piece=self.max_piece_length,
            longest_item=self.longest_line,
        )
        (folder / "tokenizer.model").write_bytes(model)
        assert self._folder is not None
        encoder = write_tokenizer(
            folder,
            definition_of_model(read_model(model)),
            SPECIAL_TOKENS,
            read_verification(self._folder / TEXTS_FILE),
            model_vocab_size=self.pad_vocabulary_to,
        )
        short = self.vocab_size - encoder["vocab_size"]
        facts = {
            "trainer": "sentencepiece",
            "options": self.model_dump(mode="json"),
            "vocab_size_requested": self.vocab_size,
            "vocab_size": encoder["vocab_size"],
            "shortfall": None if short == 0 else f"{short} entries fewer: the sample has no further pairs",
            **facts,
            "encoder": encoder,
        }
        (folder / "training.json").write_text(
            json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return facts

    def _counted(self, part: pa.Table) -> dict[str, Any]:
        """Documents and bytes, whole and by source. Raises LedgerError if they are not the sample's."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.contract.documents import Documents
        from corpusmill.pipelines.contract.errors import LedgerError

        sample = self._known_sample()
        sizes = np.diff(Documents(part).utf8("text")[0])
        documents, size = part.num_rows, int(sizes.sum())
        if (documents, size) != (sample.documents, sample.bytes):
            raise LedgerError(
                f"trained on {documents:,} documents of {size:,} bytes, but the sample chose "
                f"{sample.documents:,} of {sample.bytes:,}; "
                "remove the folder of the step tokenizer_sample and run again"
            )
        by_source = (
            pa.table({"source": part.column("source"), "bytes": sizes})
            .group_by("source")
            .aggregate([("bytes", "sum"), ("bytes", "count")])
        )
        sources = {
            row["source"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"]}
            for row in sorted(by_source.to_pylist(), key=lambda row: str(row["source"]))
        }
        return {"seed": sample.seed, "documents": documents, "bytes": size, "sources": sources}

    def _known_sample(self) -> Sample:
        if self._sample is None:
            raise RuntimeError("train_sentencepiece needs the sample: call prepare first")
        sample: Sample = self._sample
        return sample
