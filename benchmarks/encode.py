"""Encoding with DeepSeek-V3's tokenizer: Parquet to token ids in Arrow, against bare gigatoken.

    python benchmarks/encode.py [--quick] [--json] [--data DIR]

All text of the data folder (about 90 MB of code, Chinese, English and LaTeX; `--quick`: 6 MB) as the Parquet
file that the project itself writes. MB/s of UTF-8 text, one thread, best of several rounds in which the tools
take turns; by the process's CPU time, so that other work on the machine counts little, or by the clock where
the job says so.

- `in memory`: from Arrow text to token ids, after a pass over the same text. gigatoken is bare
  (`encode_batch` of the same batches); corpusmill is the stage `encode` as a recipe runs it: end tokens,
  verification against `tokenizers` and boundary splitting at their default rates, without
  fill-in-the-middle and with it. tokenizers (`encode_batch`) and tiktoken (vocabularies of its own) take a
  part of the text.
- `Parquet to Arrow file`: reading and writing too, by the project's own reader and writer. gigatoken reads
  the Parquet file by itself, and leaves the ids in memory.
- `Parquet to Arrow file, by the clock`: reading and writing in threads of their own, on two cores; gigatoken
  is bare again, in memory. Means little on a machine with other work to do.
- `in memory, first pass, by the clock`: with empty caches, each in the first pass after loading.

The rows `..., of bare` divide by bare gigatoken, in memory, in the same run by the same clock.
"""

from __future__ import annotations

import base64
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from harness import Bench, arguments, bounded, load

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer

TEXTS = (
    "code/code_packages",
    "text/ruanyf_weekly_zh",
    "text/tldr_pages_multilang",
    "text/wikitext2_valid_test",
    "text/cc_c4_redpajama_samples",
    "math/latex_books",
    "math/gsm8k_train",
)
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
BATCH_ROWS = 1000  # of a batch in memory: about what readers hand to a stage
MEMORY, FILES = "in memory", "Parquet to Arrow file"
THREADS = "Parquet to Arrow file, by the clock"
FIRST = "in memory, first pass, by the clock"
T = TypeVar("T")


def main() -> None:
    asked = arguments(__doc__)
    bench = Bench("encode")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        docs = documents(asked.data, 6_000_000 if asked.quick else None)
        writer = DatasetWriter(folder / "documents")
        for first in range(0, len(docs), BATCH_ROWS):  # row groups as a source's step writes them
            writer.append(docs.slice(first, BATCH_ROWS))
        writer.close()
        definition = unpacked(asked.data / "tokenizers/deepseek_v3.tokenizer.json.zst")
        (folder / "tokenizer.json").write_bytes(definition)
        (folder / "tokenizer").mkdir()
        LoadTokenizer(path=folder / "tokenizer.json").run({}, folder / "tokenizer")
        fast(bench, docs, folder, json.loads(definition), 2 if asked.quick else 9)
        slow(bench, docs, asked.data, json.loads(definition), 300_000 if asked.quick else 6_000_000)
    bench.print(asked.json)


def documents(data: Path, most: int | None) -> Documents:
    """The data's documents in one table, every k-th where that is enough for `most` bytes."""
    rows = [row for name in TEXTS for row in load(data / f"{name}.jsonl.zst")]
    size = sum(len(row["text"].encode()) for row in rows)
    rows = rows[:: 1 if most is None else -(-size // most)]
    columns: dict[str, list[Any]] = {
        "id": [document_id(str(i), row["text"].encode()) for i, row in enumerate(rows)],
        "text": [row["text"] for row in rows],
        "source": ["data"] * len(rows),
        "domain": ["web"] * len(rows),
        "meta": ["{}"] * len(rows),
    }
    arrays = [pa.array(columns.get(field.name, [None] * len(rows)), field.type) for field in SCHEMA]
    return Documents(pa.Table.from_arrays(arrays, schema=SCHEMA))


def unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        return bytes(zstandard.ZstdDecompressor().stream_reader(file).read())


def fast(bench: Bench, docs: Documents, folder: Path, definition: dict[str, Any], rounds: int) -> None:
    """gigatoken and corpusmill."""
    import awkward
    import gigatoken

    size = int(docs.sizes().sum())
    texts = docs.text
    batches = [docs.slice(first, BATCH_ROWS) for first in range(0, len(docs), BATCH_ROWS)]
    plain = json.dumps(documents_only(definition), ensure_ascii=False)
    context = Context(seed=17, artefacts={"tokenizer": folder / "tokenizer"})
    stages = {
        name: Encode.model_validate({"fim": {"rate": rate}}).prepare(context)
        for name, rate in (("no FIM", 0.0), ("FIM 0.1", 0.1))
    }
    for stage in stages.values():
        stage.warm()
    bare = gigatoken.Tokenizer.from_json(plain)

    def encode_bare() -> None:
        for first in range(0, len(texts), BATCH_ROWS):
            bare.encode_batch(awkward.from_arrow(texts[first : first + BATCH_ROWS]), parallel=False)

    def encode(stage: Encode) -> None:
        for batch in batches:
            stage.edit(batch)

    def convert(stage: Encode, apart: bool) -> None:
        thread: Callable[[Iterable[T]], Iterator[T]] = in_a_thread if apart else iter
        source = thread(read(folder / "documents.parquet"))
        found = (encoded(stage.edit(Documents(table))) for table in source)
        if apart:
            drain_in_a_thread(found, folder / "ids")
        else:
            write(found, folder / "ids")

    parquet = gigatoken.ParquetFileSource([folder / "documents.parquet"])
    jobs: dict[tuple[str, str], Callable[[], object]] = {
        (MEMORY, "gigatoken"): encode_bare,
        (FILES, "gigatoken"): lambda: bare.encode_files(parquet, parallel=False),
        (THREADS, "gigatoken"): encode_bare,
    }
    for name, stage in stages.items():
        jobs[f"{MEMORY}, {name}", "corpusmill"] = partial(encode, stage)
        jobs[f"{FILES}, {name}", "corpusmill"] = partial(convert, stage, False)
        jobs[f"{THREADS}, {name}", "corpusmill"] = partial(convert, stage, True)
    first = {"gigatoken": timed(encode_bare, time.perf_counter)}
    first["corpusmill"] = timed(lambda: encode(stages["no FIM"]), time.perf_counter)
    encode(stages["FIM 0.1"])
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for key, work in jobs.items():
            clock = time.perf_counter if key[0].startswith(THREADS) else time.process_time
            best[key] = min(best[key], timed(work, clock))
    for (job, tool), seconds in sorted(best.items()):
        bench.add(job, tool, size / 1e6 / seconds, "MB/s")
    for tool, seconds in first.items():
        bench.add(FIRST, tool, size / 1e6 / seconds, "MB/s")
    for (job, tool), seconds in sorted(best.items()):
        if tool == "corpusmill":
            peer = (THREADS if job.startswith(THREADS) else MEMORY, "gigatoken")
            bench.add(f"{job}, of bare", tool, best[peer] / seconds, "x")
            if job.startswith(f"{FILES}, ") and not job.startswith(THREADS):
                same = best[FILES, "gigatoken"] / seconds
                bench.add(f"{job}, of gigatoken from the same file", tool, same, "x")
    bench.add(f"{FIRST}, of bare", "corpusmill", first["gigatoken"] / first["corpusmill"], "x")


def slow(bench: Bench, docs: Documents, data: Path, definition: dict[str, Any], most: int) -> None:
    """tokenizers and tiktoken, on every k-th document."""
    import tiktoken
    from tokenizers import Tokenizer

    step = -(-int(docs.sizes().sum()) // most)
    texts = docs.text.to_pylist()[::step]
    size = sum(len(text.encode()) for text in texts)
    reference = Tokenizer.from_str(json.dumps(documents_only(definition), ensure_ascii=False))
    tools: dict[tuple[str, str], Callable[[], object]] = {
        (f"{MEMORY}, a part of the text", "tokenizers"): lambda: reference.encode_batch(texts)
    }
    for name, pattern in (("cl100k_base", CL100K), ("o200k_base", O200K)):
        lines = unpacked(data / f"tokenizers/{name}.tiktoken.zst").split()
        ranks = {
            base64.b64decode(token): int(rank) for token, rank in zip(lines[::2], lines[1::2], strict=True)
        }
        other = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        tools[f"{MEMORY}, a part of the text, {name}", "tiktoken"] = partial(
            lambda other: [other.encode_ordinary(text) for text in texts], other
        )
    for (job, tool), work in tools.items():
        seconds = min(timed(work, time.process_time) for _ in range(1 if most < 2e6 else 3))
        bench.add(job, tool, size / 1e6 / seconds, "MB/s")


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def read(path: Path) -> Iterator[pa.Table]:
    """Row groups as the project reads them."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)


def encoded(outcome: Any) -> Documents:
    documents: Documents = outcome.documents
    return documents


def write(found: Iterable[Documents], path: Path) -> None:
    writer = DatasetWriter(path, encoded=True)
    for docs in found:
        writer.append(docs)
    writer.close()


def in_a_thread(items: Iterable[T]) -> Iterator[T]:
    """The same items, made in a thread one ahead of whoever takes them."""
    ready: queue.Queue[list[T]] = queue.Queue(1)

    def work() -> None:
        for item in items:
            ready.put([item])
        ready.put([])

    threading.Thread(target=work).start()
    while box := ready.get():
        yield box[0]


def drain_in_a_thread(items: Iterable[Documents], path: Path) -> None:
    """Take `items` here and write them in a thread."""
    ready: queue.Queue[list[Documents]] = queue.Queue(1)

    def boxed() -> Iterator[Documents]:
        while box := ready.get():
            yield box[0]

    thread = threading.Thread(target=write, args=(boxed(), path))
    thread.start()
    for item in items:
        ready.put([item])
    ready.put([])
    thread.join()


if __name__ == "__main__":
    bounded(main)
