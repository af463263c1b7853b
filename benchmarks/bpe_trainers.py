"""One trainer in this process: `python bpe_trainers.py TOOL ENTRIES DOCUMENTS MERGES`.

DOCUMENTS is an Arrow file of texts, MERGES where the merges are written as JSON (of trainers that have
them), ENTRIES the vocabulary without special tokens. Prints seconds from documents in memory to merges and
the peak resident memory of the process in MiB. Compiled kernels come from the cache, as in any run but the
first: the timed training follows a tiny one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)

LONGEST = 2**24  # characters: longer than any document

Trainer = Callable[[list[pa.Array], int], "list[Any] | None"]


def corpusmill(texts: list[pa.Array], entries: int) -> list[Any]:
    from corpusmill.tokenizer.bpe.train import train

    # Without the cut of very long pre-tokens, which tokenizers does not make either.
    trained = train(texts, vocab_size=entries + 6, longest_pretoken=LONGEST, threads=os.cpu_count() or 1)
    return list(json.loads(trained.definition)["model"]["merges"])


def tokenizers(texts: list[pa.Array], entries: int) -> list[Any]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PreTokenizer().hugging_face()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((batch.to_pylist() for batch in texts), trainer)
    return list(json.loads(tokenizer.to_str())["model"]["merges"])


def rustbpe(texts: list[pa.Array], entries: int) -> None:
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator((text for batch in texts for text in batch.to_pylist()), entries)


def bpeasy(texts: list[pa.Array], entries: int) -> None:
    from bpeasy import train_bpe

    train_bpe((text for batch in texts for text in batch.to_pylist()), GPT4, 256, entries)


def gigatoken(texts: list[pa.Array], entries: int) -> None:
    import gigatoken

    data = "\0".join(text for batch in texts for text in batch.to_pylist()).encode()
    gigatoken.train_bpe(data, entries, [], separator=b"\0")


def sentencepiece(texts: list[pa.Array], entries: int) -> None:
    import io

    import sentencepiece as library

    library.SentencePieceTrainer.train(
        sentence_iterator=(text for batch in texts for text in batch.to_pylist()),
        model_writer=io.BytesIO(),
        model_type="bpe",
        vocab_size=entries,
        byte_fallback=True,
        character_coverage=0.9995,
        max_sentence_length=1 << 24,
        normalization_rule_name="identity",
        num_threads=os.cpu_count() or 1,
        minloglevel=2,
        hard_vocab_limit=False,
    )


TRAINERS: dict[str, Trainer] = {
    "corpusmill": corpusmill,
    "tokenizers": tokenizers,
    "rustbpe": rustbpe,
    "bpeasy": bpeasy,
    "gigatoken": gigatoken,
    "sentencepiece": sentencepiece,
}


def main(tool: str, entries: int, documents: Path, out: Path) -> None:
    use_kernel_cache()
    with pa.OSFile(str(documents)) as file:
        texts = [batch.column(0) for batch in pa.ipc.open_file(file).read_all().to_batches()]
    tiny = 264 if tool == "sentencepiece" else 300
    TRAINERS[tool]([pa.array(["a b a b a b"] * 9, pa.large_string())], tiny)
    started = time.perf_counter()
    merges = TRAINERS[tool](texts, entries)
    seconds = time.perf_counter() - started
    if merges is not None:
        out.write_text(json.dumps(merges))
    print(json.dumps({"seconds": seconds, "peak_mib": peak_memory()}))


def peak_memory() -> float:
    """MiB; from /proc, since getrusage begins with the peak of the process that started this one."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
