"""Documents to token shards with DeepSeek-V3's tokenizer, and what methods of packing cost.

    python benchmarks/pack.py [--quick] [--json] [--data DIR]

The text of the data folder (about 90 MB of code, Chinese, English and LaTeX; `--quick`: 4 MB), or where it is
absent text files of this machine with a tokenizer trained on them, as one Parquet file. All by the CPU time
of the process, one thread.

- `Parquet to token shards`: MB/s of UTF-8 text. corpusmill: reading, fill-in-the-middle at 0.1, encoding with
  verification, the encoded dataset on disk and back, the shuffle, packing by best fit, shards; the best of
  several passes by one loaded tokenizer, and `first pass`. datatrove: its ParquetReader and DocumentTokenizer
  with the shuffle of documents (no fill-in-the-middle, no rows). Megatron: the recipe of its
  tools/preprocess_data.py (a JSON line, `encode`, the end token, int32 in a .bin file, lengths and places in
  an index) restated on `tokenizers`. Both take a part of the text, and have loaded the tokenizer before.
- `packing alone`: million tokens/s from encoded documents to rows, and with the shard's file; `encoding`: the
  same measure of the stage `encode`.
- `padding`, `divided documents`, `divided documents that fit a row`, `tokens behind another document`: of
  each method in rows of 4,096 tokens, in percent.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from encode import BATCH_ROWS, encoded, read, unpacked
from encode import documents as documents_of_data
from harness import Bench, arguments, bounded
from installed_text import installed_texts

from corpusmill.mixtures.draw import Draw
from corpusmill.mixtures.mixture import Mixture
from corpusmill.mixtures.mixture_sums import MixtureSums
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id
from corpusmill.pipelines.contract.stage import ROW, UNIT, Context
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from corpusmill.tokenizer.pack import Pack
from corpusmill.tokenizer.packing.rows import pack_rows

METHODS = ("best_fit", "greedy", "concat")
END_TO_END = "Parquet to token shards"
LENGTH = 4096
SEED = 17
COSTS = {
    "divided documents": ("divided_documents", "documents"),
    "divided documents that fit a row": ("divided_short_documents", "documents"),
    "tokens behind another document": ("tokens_behind_others", "tokens"),
}


def main() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    asked = arguments(__doc__)
    bench = Bench("pack")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        docs = documents(asked.data, 4_000_000 if asked.quick else None, folder / "tokenizer.json")
        writer = DatasetWriter(folder / "in" / "documents")
        (folder / "in").mkdir()
        for first in range(0, len(docs), BATCH_ROWS):
            writer.append(docs.slice(first, BATCH_ROWS))
        writer.close()
        for name in ("tokenizer", "sums", "plan", "shards"):
            (folder / name).mkdir()
        LoadTokenizer(path=folder / "tokenizer.json").run({}, folder / "tokenizer")
        rate = ours(bench, docs, folder, 2 if asked.quick else 3)
        peers(bench, docs, folder, 400_000 if asked.quick else 4_000_000, rate)
    bench.print(asked.json)


def documents(data: Path, most: int | None, tokenizer: Path) -> Documents:
    """Documents, and the definition of a tokenizer written to `tokenizer`."""
    released = data / "tokenizers/deepseek_v3.tokenizer.json.zst"
    if released.is_file():
        tokenizer.write_bytes(unpacked(released))
        return documents_of_data(data, most)
    sys.stderr.write(f"{data} has no tokenizer; text files of this machine are taken instead\n")
    texts = list(installed_texts(most or 40_000_000))
    from tokenizers import pre_tokenizers, trainers

    made = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(texts[: 2_000 if most is None else 200], trainer)
    made.save(str(tokenizer))
    columns: dict[str, list[Any]] = {
        "id": [document_id(str(at), text.encode()) for at, text in enumerate(texts)],
        "text": texts,
        "source": ["data"] * len(texts),
        "domain": ["code"] * len(texts),
        "meta": ["{}"] * len(texts),
    }
    arrays = [pa.array(columns.get(field.name, [None] * len(texts)), field.type) for field in SCHEMA]
    return Documents(pa.Table.from_arrays(arrays, schema=SCHEMA))


def ours(bench: Bench, docs: Documents, folder: Path, rounds: int) -> float:
    """corpusmill, end to end and each part; returns the end to end's MB/s."""
    size = int(docs.sizes().sum())
    context = Context(seed=SEED, artefacts={"tokenizer": folder / "tokenizer"})
    stage = Encode().prepare(context)
    stage.warm()
    table = encode_file(stage, folder)  # compiles what is not compiled yet; not timed
    plan(table, folder)
    context = Context(seed=SEED, artefacts={"tokenizer": folder / "tokenizer", "mixture": folder / "plan"})
    packing = Pack(sequence_length=LENGTH, held_out=0.0).prepare(context)
    drawing = Draw(shard_tokens=2**25).prepare(context)

    def whole(stage: Encode) -> None:
        write_shards(packing, drawn(drawing, encode_file(stage, folder)), folder)

    whole(stage)
    fresh = Encode().prepare(context)
    seconds = timed(lambda: whole(fresh))
    bench.add(f"{END_TO_END}, first pass", "corpusmill", size / 1e6 / seconds, "MB/s")
    best = min(timed(lambda: whole(fresh)) for _ in range(rounds))
    bench.add(END_TO_END, "corpusmill", size / 1e6 / best, "MB/s")
    rows = drawn(drawing, table)
    tokens = len(rows.column("tokens").combine_chunks().values) / 1e6
    batches = list(read(folder / "in" / "documents.parquet"))
    seconds = min(timed(lambda: [fresh.edit(Documents(one)) for one in batches]) for _ in range(rounds))
    bench.add("encoding", "corpusmill", tokens / seconds, "million tokens/s")
    column = rows.column("tokens").combine_chunks()
    ends = column.offsets.to_numpy().astype(np.int64)
    values = column.values.to_numpy(zero_copy_only=True)
    for method in METHODS:
        chains = np.array([0, len(ends) - 1]) if method == "concat" else np.arange(len(ends))
        given = (ends[:-1], np.diff(ends), chains, values, LENGTH, 0, SEED)

        def in_rows(given: Any = given, method: str = method) -> None:
            pack_rows(*given, in_order=method == "greedy")

        in_rows()
        seconds = min(timed(in_rows) for _ in range(rounds))
        bench.add(f"packing alone, to rows, {method}", "corpusmill", tokens / seconds, "million tokens/s")
        stage_ = Pack(sequence_length=LENGTH, held_out=0.0, method=method).prepare(context)
        counts = write_shards(stage_, rows, folder)
        seconds = min(timed(partial(write_shards, stage_, rows, folder)) for _ in range(rounds))
        bench.add(f"packing alone, to a shard, {method}", "corpusmill", tokens / seconds, "million tokens/s")
        places = counts["tokens"] + counts["padding"]
        bench.add(f"padding, {method}", "corpusmill", 100 * counts["padding"] / places, "%")
        for job, (part, of) in COSTS.items():
            bench.add(f"{job}, {method}", "corpusmill", 100 * counts[part] / counts[of], "%")
    return size / 1e6 / best


def encode_file(stage: Encode, folder: Path) -> pa.Table:
    """Encode the Parquet file into a dataset, and read that."""
    writer = DatasetWriter(folder / "encoded", encoded=True)
    for table in read(folder / "in" / "documents.parquet"):
        writer.append(encoded(stage.edit(Documents(table))))
    writer.close()
    with ipc.open_file(folder / "encoded.arrow") as file:
        return file.read_all()


def plan(table: pa.Table, folder: Path) -> None:
    """The plan of a mixture that takes every document once."""
    docs = Documents(table.combine_chunks())
    sums = MixtureSums().prepare(Context(seed=SEED))
    sums.finish(sums.map(iter([docs])), folder / "sums")
    mixture = Mixture().prepare(Context(seed=SEED, artefacts={"mixture_sums": folder / "sums"}))
    numbers = np.arange(len(docs), dtype=np.uint32)
    addressed = docs.with_columns({UNIT: pa.array(np.zeros(len(docs), np.uint32)), ROW: pa.array(numbers)})
    mixture.finish(mixture.map(iter([addressed])), folder / "plan")


def drawn(stage: Draw, table: pa.Table) -> pa.Table:
    """The encoded documents in the order of their shuffle."""
    parts, first = [], 0
    for batch in table.to_batches():
        numbers = np.arange(first, first + batch.num_rows, dtype=np.uint32)
        parts.append(stage.emit(Documents(pa.Table.from_batches([batch])), 0, numbers).rows)
        first += batch.num_rows
    rows = pa.concat_tables(parts)
    return rows.take(pa.array(np.argsort(rows.column("key").to_numpy(), kind="stable"))).combine_chunks()


def write_shards(stage: Pack, rows: pa.Table, folder: Path) -> dict[str, Any]:
    return stage.write(rows, 0, folder / "shards")


def peers(bench: Bench, docs: Documents, folder: Path, most: int, rate: float) -> None:
    """datatrove and Megatron's recipe on every k-th document."""
    step = -(-int(docs.sizes().sum()) // most)
    part = docs.table.take(pa.array(np.arange(0, len(docs), step)))
    size = int(Documents(part.combine_chunks()).sizes().sum()) / 1e6
    (folder / "part").mkdir()
    writer = DatasetWriter(folder / "part" / "documents")
    writer.append(Documents(part.combine_chunks()))
    writer.close()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    seconds = timed(lambda: megatron(tokenizer, part, folder))
    bench.add(END_TO_END, "Megatron's recipe", size / seconds, "MB/s")
    bench.add(f"{END_TO_END}, times Megatron's recipe", "corpusmill", rate * seconds / size, "x")
    if importlib.util.find_spec("datatrove") is None:
        bench.leave_out(END_TO_END, "datatrove", "not installed")
        return
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from loguru import logger

    logger.remove()

    definition = str(folder / "tokenizer" / "tokenizer.json")
    tokenizing = DocumentTokenizer(str(folder / "datatrove"), definition, seed=SEED)
    assert tokenizing.tokenizer is not None  # loads it
    reader = ParquetReader(str(folder / "part"))
    seconds = timed(lambda: tokenizing.run(reader.run(None, 0, 1), 0, 1))
    bench.add(END_TO_END, "datatrove", size / seconds, "MB/s")
    bench.add(f"{END_TO_END}, times datatrove", "corpusmill", rate * seconds / size, "x")


def megatron(tokenizer: Any, part: pa.Table, folder: Path) -> None:
    """What tools/preprocess_data.py of Megatron-LM does with each line of a JSONL file, one worker."""
    eod = len(tokenizer.get_vocab()) - 1
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in part.column("text").to_pylist()]
    lengths: list[int] = []
    with (folder / "megatron.bin").open("wb") as out:
        for line in lines:
            ids = [*tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids, eod]
            out.write(np.array(ids, np.int32).tobytes(order="C"))
            lengths.append(len(ids))
    with (folder / "megatron.idx").open("wb") as index:
        index.write(struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 4, len(lengths), len(lengths) + 1))
        index.write(np.array(lengths, np.int32).tobytes())
        index.write((np.cumsum([0, *lengths[:-1]], dtype=np.int64) * 4).tobytes())
        index.write(np.arange(len(lengths) + 1, dtype=np.int64).tobytes())


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    bounded(main)
