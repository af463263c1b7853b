"""Token shards that the packer makes of texts in two sources, with a tokenizer trained on them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from corpusmill.pipelines.contract.stage import Context
from corpusmill.tokenizer.pack import Pack
from tests.oracles.tokenizer_counts import trained
from tests.oracles.tokenizer_texts import as_documents

EOS = 1  # ends every document
SOURCES = ("prose", "rest")


REAL = (
    "text/wikitext2_valid_test.jsonl.zst", "math/gsm8k_train.jsonl.zst", "code/code_packages.jsonl.zst",
)  # fmt: skip


def real_texts(data: Path, count: int, seed: int) -> list[str]:
    """Beginnings of Wikipedia's pages, problems of GSM8K and source files in turn, drawn by `seed`."""
    draws, found = random.Random(seed), []
    for name in REAL:
        with pa.input_stream(data / name, compression="zstd") as stream:
            lines = islice(TextIOWrapper(stream, encoding="utf-8"), 3000)
            found.append([json.loads(line)["text"][:1500] for line in lines])
    return [draws.choice(found[number % len(found)]) for number in range(count)]


def packed_texts(folder: Path, texts: Sequence[str], length: int) -> list[Path]:
    """Two shards of rows of `length` tokens from `texts`, and one of documents held out."""
    count = len(texts)
    trained(folder / "tokenizer", [as_documents(texts)], seed=5, vocab_size=400, held_out=0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    encoded = [tokenizer.encode(text).ids for text in texts]
    keys = [int.from_bytes(hashlib.sha256(b"%d" % n).digest()[:8], "little") for n in range(count)]
    table = pa.table(
        {
            "key": pa.array(keys, pa.uint64()),
            "unit": pa.array([0] * count, pa.uint32()),
            "row": pa.array(range(count), pa.uint32()),
            "epoch": pa.array([0] * count, pa.int32()),
            "id": [f"{n:032x}" for n in range(count)],
            "source": pa.array([SOURCES[n % 3 > 0] for n in range(count)], pa.string()),
            "group": pa.array([None] * count, pa.string()),
            "group_rank": pa.array([None] * count, pa.int32()),
            "fim": pa.array([False] * count, pa.bool_()),
            "held_out": pa.array([n % 10 == 0 for n in range(count)], pa.bool_()),
            "bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "tokens": pa.array([[*ids, EOS] for ids in encoded], pa.large_list(pa.uint16())),
        }
    )
    table = table.sort_by([("key", "ascending")])
    context = Context(seed=5, artefacts={"tokenizer": folder / "tokenizer"})
    stage = Pack(sequence_length=length, held_out=0.1).prepare(context)
    half = table.num_rows // 2
    for number, part in enumerate((table.slice(0, half), table.slice(half))):
        stage.write(part, number, folder)
    return sorted([*folder.glob("shard-*.arrow"), *folder.glob("heldout-*.arrow")])
