"""`train_bpe`: train the tokenizer on the documents that `tokenizer_sample` chose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from corpusmill.pipelines.contract.stage import Context, Fold
from corpusmill.tokenizer.pretokenizer.patterns import Name
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer, in_full

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.tokenizer.bpe.sampling import Sample
    from corpusmill.tokenizer.bpe.train import Trained

SAMPLE = "tokenizer_sample"
_FIXED = 262  # special tokens and bytes: `bpe.definition.FIXED`, which costs more to import


class TrainBpe(Fold):
    """Train a byte-level BPE (DeepSeek-V3's report, section 4.1) on the documents of `tokenizer_sample`.

    The vocabulary is `vocab_size` entries: six special tokens at ids 0-5 (bos, eos, pad, FIM hole, begin and
    end, spelt as in DeepSeek-V3; there the FIM ones stand at the end), the 256 bytes, merges, and
    `reserved_tokens`, spelt as DeepSeek-V3's place holders. A sample too small for that many merges gives a
    smaller vocabulary, which training.json tells.

    Encoding does not cut pre-tokens at `longest_pretoken`. Merges are learned from the counts of pre-tokens,
    and are those of `tokenizers`' BpeTrainer on the same counts (`bpe.learn`), so on the same documents where
    no pre-token is longer. `max_token_bytes` limits tokens as its max_token_length does.

    Memory: counts of a unit beyond `count_memory` are spilled to the system's temporary folder as sorted
    runs. Not bounded by it: while combining, the distinct pre-tokens of the units combined, and in the end
    those of all documents, which training holds at once, some 30 bytes each, and several times that while
    learning merges. Of equally frequent ones `max_pretokens` keeps those whose bytes sort first;
    training.json counts what was left out. The result depends neither on `count_memory` nor on how documents
    are divided.

    Difference from the report: the random splitting of tokens that combine punctuation and line breaks is
    done while encoding.

    Artefact: tokenizer.json and the files beside it that `transformers` reads, training.json (facts),
    growth.json (bytes per token against vocabulary size, on the counts trained on) and encoder.json (which
    encoder reproduces it: `bpe.artefact`). Raises UserError where the sample holds no text.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tokenizers", "gigatoken", "pyarrow", "numba")
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    artefacts: ClassVar[tuple[str, ...]] = (SAMPLE,)

    vocab_size: int = Field(
        8192, ge=_FIXED, le=2**20, description="Entries of the vocabulary, all told (DeepSeek-V3: 128,000)."
    )
    min_frequency: int = Field(2, ge=1, description="Fewest occurrences of a pair that is merged.")
    max_token_bytes: int | None = Field(
        None, ge=2, le=2**16, description="Most bytes of a token; null: no limit."
    )
    pre_tokenizer: Name | PreTokenizer = Field(
        default_factory=PreTokenizer,
        description="What cuts documents into pre-tokens, which no token crosses: a name or its options.",
    )
    longest_pretoken: int = Field(
        256, ge=16, le=2**20, description="Characters beyond which a pre-token is counted in pieces."
    )
    reserved_tokens: int = Field(
        0, ge=0, le=2**16, description="Special tokens for later use, which no text produces."
    )
    pad_vocabulary_to: int | None = Field(
        None,
        ge=_FIXED,
        le=2**21,
        description="Ids that a model makes room for (DeepSeek-V3: 129,280); null: no more.",
    )
    max_pretokens: int | None = Field(
        None, ge=2**10, description="Distinct pre-tokens to keep, the most frequent; null: all."
    )
    count_memory: int = Field(
        512 * 2**20, ge=2**20, le=2**40, description="Bytes of memory for the counts of a unit."
    )

    _sample: Sample | None = PrivateAttr(default=None)
    _verification: Path | None = PrivateAttr(default=None)

    _in_full = field_validator("pre_tokenizer")(in_full)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.vocab_size < _FIXED + self.reserved_tokens:
            raise ValueError(
                f"vocab_size is less than {_FIXED} tokens every tokenizer has and reserved_tokens; raise it"
            )
        if self.pad_vocabulary_to is not None and self.pad_vocabulary_to < self.vocab_size:
            raise ValueError("pad_vocabulary_to is less than vocab_size; raise it, or leave it out")
        return self

    def prepare(self, context: Context) -> Self:
        from corpusmill.tokenizer.bpe.sampling import FILE, TEXTS_FILE, read_sample

        ready = self.model_copy()
        ready._sample = read_sample(context.artefact(SAMPLE, FILE))
        ready._verification = context.artefact(SAMPLE, TEXTS_FILE)
        return ready

    def warm(self) -> None:
        """Compile counting and training on two words."""
        import pyarrow as pa

        from corpusmill.tokenizer.bpe.counts import PretokenCounter, merge_counts
        from corpusmill.tokenizer.bpe.train import train_from_counts

        with PretokenCounter(self._pre(), self.longest_pretoken, 2**20) as counter:
            counter.add(pa.array(["so so"], pa.large_string()))
            counts = counter.finish()
        train_from_counts(merge_counts([counts, counts]), vocab_size=_FIXED + 2, pre=self._pre())

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """Counts of the pre-tokens of the documents chosen; how many, and their bytes, in the metadata."""
        import numpy as np
        import pyarrow as pa

        from corpusmill.tokenizer.bpe.counts import PretokenCounter

        sample = self._known_sample()
        documents = size = 0
        with PretokenCounter(self._pre(), self.longest_pretoken, self.count_memory) as counter:
            for docs in batches:
                texts = docs.text.filter(pa.array(sample.choose(docs)))
                stops = sample.stops(texts)
                counter.add(texts, stops)
                documents, size = documents + len(texts), size + int(np.sum(stops))
            return _with_facts(counter.finish(), documents, size)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        from corpusmill.tokenizer.bpe.counts import merge_counts

        facts = [_facts_of(part) for part in parts]
        merged = merge_counts([part.replace_schema_metadata() for part in parts])
        return _with_facts(merged, sum(each[0] for each in facts), sum(each[1] for each in facts))

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Train on counts and write the artefact; returns what training.json says.

        Raises LedgerError where other documents were counted than the sample chose.
        """
        from corpusmill.pipelines.contract.errors import LedgerError
        from corpusmill.tokenizer.bpe.artefact import write_tokenizer
        from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, reserved_spellings
        from corpusmill.tokenizer.bpe.sampling import read_verification
        from corpusmill.tokenizer.bpe.train import train_from_counts

        sample = self._known_sample()
        assert self._verification is not None
        if _facts_of(part) != (sample.documents, sample.bytes):
            raise LedgerError(
                f"documents and bytes counted, {_facts_of(part)}, differ from those the tokenizer's sample "
                f"chose, {(sample.documents, sample.bytes)}; remove the folder of the step {SAMPLE} and "
                "run again"
            )
        trained = train_from_counts(
            part.replace_schema_metadata(),
            vocab_size=self.vocab_size,
            pre=self._pre(),
            min_frequency=self.min_frequency,
            max_token_bytes=self.max_token_bytes,
            reserved_tokens=self.reserved_tokens,
            max_pretokens=self.max_pretokens,
        )
        encoder = write_tokenizer(
            folder,
            trained.definition,
            SPECIAL_TOKENS,
            read_verification(self._verification),
            model_vocab_size=self.pad_vocabulary_to,
            reserved=reserved_spellings(self.reserved_tokens),
        )
        facts = self._training(trained, sample, encoder)
        for name, content in (("training.json", facts), ("growth.json", trained.growth())):
            (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return facts

    def _training(self, trained: Trained, sample: Sample, encoder: dict[str, Any]) -> dict[str, Any]:
        size = trained.vocab_size + self.reserved_tokens
        short = self.vocab_size - size
        why = f"no further pair occurs {self.min_frequency} times in the sample"
        if self.max_token_bytes is not None:
            why += f" and is shorter than {self.max_token_bytes} bytes"
        return {
            "vocab_size_requested": self.vocab_size,
            "vocab_size": size,
            "model_vocab_size": encoder["model_vocab_size"],
            "shortfall": f"{short} entries fewer: {why}" if short else None,
            "options": self.model_dump(mode="json", exclude={"count_memory"}),
            "min_frequency": self.min_frequency,
            "seed": sample.seed,
            "documents": sample.documents,
            "bytes": sample.bytes,
            "held_out": sample.held_out,
            "max_document_bytes": sample.max_document_bytes,
            "strata": [
                {
                    "source": each.source,
                    "lang": each.lang,
                    "documents": each.documents,
                    "bytes": each.bytes,
                    "chosen_documents": each.chosen_documents,
                    "chosen_bytes": each.chosen_bytes,
                }
                for each in sample.strata
            ],
            "pretokens": trained.pretokens,
            "pretoken_occurrences": trained.occurrences,
            "dropped_pretokens": trained.dropped_pretokens,
            "dropped_occurrences": trained.dropped_occurrences,
            "merges": len(trained.learned.last_of_each()),
            "longest_token_bytes": max(map(len, trained.learned.tokens), default=1),
            "encoder": encoder,
        }

    def _pre(self) -> PreTokenizer:
        assert isinstance(self.pre_tokenizer, PreTokenizer)
        return self.pre_tokenizer

    def _known_sample(self) -> Sample:
        if self._sample is None:
            raise RuntimeError("train_bpe needs the tokenizer's sample: call prepare first")
        return self._sample


_FACTS = b"counted"


def _with_facts(counts: pa.Table, documents: int, size: int) -> pa.Table:
    """`counts` with documents counted and their bytes in the schema's metadata."""
    return counts.replace_schema_metadata({_FACTS: json.dumps([documents, size])})


def _facts_of(part: pa.Table) -> tuple[int, int]:
    documents, size = json.loads(part.schema.metadata[_FACTS])
    return documents, size
