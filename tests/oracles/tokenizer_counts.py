"""Counting and training as on a blackboard: a Counter over pre-tokens, and `tokenizers`' own trainer."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from corpusmill.tokenizer.tokenizer_sample import TokenizerSample
from corpusmill.tokenizer.train_bpe import TrainBpe


def splitter(pre: PreTokenizer, longest: int) -> Any:
    """The pre-tokenizer of `tokenizers`, with long pre-tokens cut by an expression of their own."""
    cut = pre_tokenizers.Split(Regex(rf"[\s\S]{{1,{longest}}}"), "isolated")
    shown = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*pre.splits(), cut, shown])


def counted(texts: Iterable[str], pre: PreTokenizer | None = None, longest: int = 256) -> Counter[bytes]:
    """How often each pre-token occurs."""
    split = splitter(pre or PreTokenizer(), longest)
    return Counter(bytes_of(word) for text in texts for word, _ in split.pre_tokenize_str(text))


def as_counter(counts: pa.Table) -> Counter[bytes]:
    """A table of counts as a Counter. Raises AssertionError where a pre-token stands in it twice."""
    found = Counter(dict(zip(*(column.to_pylist() for column in counts.columns), strict=True)))
    assert len(found) == counts.num_rows
    return found


def by_tokenizers(
    texts: Iterable[str],
    vocab_size: int,
    pre: PreTokenizer | None = None,
    min_frequency: int = 2,
    max_token_bytes: int | None = None,
    longest: int = 256,
) -> dict[str, Any]:
    """The tokenizer.json, parsed, that `tokenizers` trains on the same documents."""
    tokenizer = new_tokenizer(pre)
    released = json.loads(tokenizer.to_str())["pre_tokenizer"]
    tokenizer.pre_tokenizer = splitter(pre or PreTokenizer(), longest)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        max_token_length=max_token_bytes,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    definition: dict[str, Any] = json.loads(tokenizer.to_str())
    return {**definition, "pre_tokenizer": released}


def read_texts(path: Path, size: int) -> list[str]:
    """The first texts of a .jsonl.zst, together some `size` characters."""
    texts: list[str] = []
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
            texts.append(json.loads(line)["text"])
            size -= len(texts[-1])
            if size <= 0:
                break
    return texts


def loads(definition: dict[str, Any]) -> Tokenizer:
    """A parsed tokenizer.json as `tokenizers` reads it."""
    return Tokenizer.from_str(json.dumps(definition, ensure_ascii=False))


def sampled(folder: Path, parts: list[Documents], seed: int = 3, **options: Any) -> dict[str, Any]:
    """Run the fold `tokenizer_sample` over `parts`, one unit each, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = TokenizerSample(**options).prepare(Context(seed=seed))
    return stage.finish(stage.combine([stage.map(iter([docs])) for docs in parts]), folder)


def trained(folder: Path, parts: list[Documents], seed: int = 3, **options: Any) -> dict[str, Any]:
    """Run both folds over `parts`, one unit each; the tokenizer goes to `folder`; returns training.json."""
    of_sample = {name: value for name, value in options.items() if name in TokenizerSample.model_fields}
    sample = folder.with_name(f"{folder.name}.sample")
    sampled(sample, parts, seed, **of_sample)
    others = {name: value for name, value in options.items() if name not in of_sample}
    stage = TrainBpe(**others).prepare(Context(seed=seed, artefacts={"tokenizer_sample": sample}))
    folder.mkdir(parents=True, exist_ok=True)
    return stage.finish(stage.combine([stage.map(iter([docs])) for docs in parts]), folder)
