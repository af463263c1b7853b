"""Parts of documents that repeat: lines and paragraphs against datatrove, substrings against a suffix array.

    python benchmarks/cutting.py [--quick] [--json] [--data DIR]

Times are CPU time of one process, in MB of UTF-8 text a second; compiling is not counted.

Kernel: texts to hashed lines or paragraphs. Exchange: the whole of a stage in memory, in partitions of 256
MiB of text, sorting as a run does, without files; steps of a run: the stage's steps by the engine `inline`,
from Parquet to a mask, files, checksums and receipts included. datatrove: the three steps of its sentence
deduplication, set to single lines as they are. `lines cut` compares what both find: datatrove cuts at more
line breaks (`str.splitlines`) and lets white space at the ends count.

Suffix array: that of `pydivsufsort` over all documents, one after the other with separators, and the longest
common prefixes of neighbours: what Google's deduplicate-text-datasets marks, in one process and memory.
`equal` is 1 where the bytes marked are those that `substring` cuts with `keep: none`, without narrowing to
characters. Peers get up to 20 MB of each corpus; those that are not installed are named on stderr. Without
the data folder texts are generated.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from harness import Bench, arguments, bounded, load

from corpusmill.dedup.boilerplate import Boilerplate
from corpusmill.dedup.matching.pieces import hashed_pieces
from corpusmill.dedup.paragraph import Paragraph
from corpusmill.dedup.substring import Substring
from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id
from corpusmill.pipelines.contract.stage import Exchange, Found, WithSides
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.run.operators.row_order import in_order, sorted_rows
from corpusmill.pipelines.run.operators.sides import keyed_by_address
from corpusmill.pipelines.run.runner import run_recipe

TEXTS = ("text/wikitext2_valid_test", "text/cc_c4_redpajama_samples", "text/ruanyf_weekly_zh")
CODE = "code/code_packages"
PARTITION = 256 * 2**20
BATCH = 2000


def documents(texts: list[str]) -> Documents:
    n = len(texts)
    columns: dict[str, Any] = {
        "id": [document_id(str(i), text.encode()) for i, text in enumerate(texts)],
        "text": texts,
        "source": ["web"] * n,
        "domain": ["web"] * n,
        "url": [f"https://site{i % 50}.example/{i}" for i in range(n)],
        "meta": ["{}"] * n,
    }
    return Documents(
        pa.table([pa.array(columns.get(f.name, [None] * n), f.type) for f in SCHEMA], schema=SCHEMA)
    )


def generated(megabytes: float) -> list[str]:
    """Texts of Zipfian words in lines and paragraphs; a tenth of the paragraphs is one of 2,000."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("etaoinshrdlucm", k=draw.randint(2, 9))) for _ in range(20_000)]
    weights = list(accumulate(1 / (i + 1) for i in range(len(vocabulary))))

    def paragraph() -> str:
        return " ".join(draw.choices(vocabulary, cum_weights=weights, k=draw.randint(10, 120)))

    shared = [paragraph() for _ in range(2000)]
    texts, size = [], 0
    while size < megabytes * 1e6:
        parts = [
            draw.choice(shared) if draw.random() < 0.1 else paragraph() for _ in range(draw.randint(1, 20))
        ]
        texts.append("\n\n".join(parts))
        size += len(texts[-1])
    return texts


def exchange(stage: Exchange, docs: Documents) -> tuple[pa.Table, float]:
    """The edits of a whole exchange, and the seconds it took."""
    partitions = max(1, -(-int(docs.sizes().sum()) // PARTITION))
    start = time.process_time()
    emitted = []
    for first in range(0, len(docs), BATCH):
        batch = docs.slice(first, BATCH)
        emitted.append(stage.emit(batch, 0, np.arange(first, first + len(batch), dtype=np.uint32)))
    sides = pa.concat_tables([one.side for one in emitted if one.side is not None])
    sent: list[Any] = [one.rows for one in emitted]
    rounds = stage.rounds()
    for number, one in enumerate(rounds, 1):
        rows = pa.concat_tables(sent, promote_options="permissive") if sent else None
        if rows is None or not rows.num_rows:
            sent = []
            break
        if isinstance(one, WithSides):
            sent = [one.work(*by_document(rows, sides))]
        else:
            sent = [one(sorted_rows(part) if number > 1 else part) for part in parts(rows, partitions)]
    tables = [made.edits for made in sent if isinstance(made, Found) and made.edits is not None]
    edits = pa.concat_tables([EDITS.empty_table(), *tables], promote_options="permissive")
    return edits, time.process_time() - start


def by_document(rows: pa.Table, sides: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows sorted by document, and the side rows of these, as a round with side tables is shown them."""
    rows = sorted_rows(keyed_by_address(rows, 1, "benchmark"))
    return rows, sides.take(pa.array(np.unique(rows.column("row").to_numpy()))).combine_chunks()


def parts(rows: pa.Table, partitions: int) -> Iterator[pa.Table]:
    """The rows of each partition, once sorted, as they are written."""
    ordered = in_order(rows)
    placed = partition_of(ordered.column("key").to_numpy(), partitions)
    bounds = np.searchsorted(placed, np.arange(partitions + 1))
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if end > start:
            yield ordered.slice(start, end - start).combine_chunks()


def kernels(bench: Bench, docs: Documents, repeats: int) -> None:
    size = docs.sizes().sum() / 1e6
    for preset in ("careful", "ccnet", "dolma"):
        comparing = Paragraph.model_validate({"preset": preset}).comparing()
        hashed_pieces(docs.slice(0, 1), comparing)
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            hashed_pieces(docs, comparing)
            best = min(best, time.process_time() - start)
        bench.add(f"kernel: hashed pieces, preset {preset}", "corpusmill", size / best, "MB/s")


def stages(bench: Bench, name: str, docs: Documents) -> None:
    """Whole exchanges in memory."""
    size = docs.sizes().sum() / 1e6
    for job, stage in (
        ("paragraph", Paragraph()),
        ("paragraph, preset dolma", Paragraph(preset="dolma")),
        ("boilerplate, with a share", Boilerplate(min_share=0.1)),
        ("substring, 200 bytes", Substring()),
        ("substring, 100 bytes", Substring(min_bytes=100)),
    ):
        exchange(stage, docs.slice(0, 50))
        edits, seconds = exchange(stage, docs)
        length = edits.column("end").to_numpy().astype(np.int64) - edits.column("start").to_numpy()
        bench.add(f"exchange in memory, {name}: {job}", "corpusmill", size / seconds, "MB/s")
        bench.add(
            f"exchange in memory, {name}: {job}", "corpusmill", 100 * length.sum() / 1e6 / size, "% cut"
        )


def steps(bench: Bench, name: str, texts: list[str]) -> None:
    """The steps of a run, by the engine `inline`."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with (root / "web.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        recipe = root / "recipe.yaml"
        recipe.write_text(
            "name: cutting\noutput: run\nengine: {kind: inline}\n"
            "sources: {web: {read: {jsonl: web.jsonl}}}\n"
            "dedup: [{paragraph: {sources: [web]}}, {substring: {sources: [web]}}]\n"
        )
        loaded = load_recipe(recipe)
        run_recipe(loaded, until=["web"])
        for stage in ("paragraph", "substring"):
            start = time.process_time()
            run_recipe(loaded, until=[f"dedup.{stage}"])
            seconds = time.process_time() - start
            bench.add(f"steps of a run, {name}: {stage}", "corpusmill", size / seconds, "MB/s")


def with_datatrove(bench: Bench, name: str, docs: Documents) -> None:
    """Repeated lines by datatrove and by `paragraph`."""
    job = f"repeated lines, {name}"
    size = docs.sizes().sum() / 1e6
    edits, seconds = exchange(Paragraph(preset="dolma"), docs)
    bench.add(job, "corpusmill", size / seconds, "MB/s")
    bench.add(job, "corpusmill", float(len(edits)), "lines cut")
    missing = [module for module in ("datatrove", "spacy") if importlib.util.find_spec(module) is None]
    if missing:
        print(f"datatrove left out: {', '.join(missing)} not installed", file=sys.stderr)
        return
    from datatrove.data import Document
    from datatrove.pipeline.dedup.sentence_dedup import (
        SentDedupConfig,
        SentenceDedupFilter,
        SentenceDedupSignature,
        SentenceFindDedups,
    )
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.text import TextNormConfig

    # Its default hash hands str to xxhash, which xxhash 4 refuses.
    config = SentDedupConfig(
        n_sentences=1,
        split_sentences=False,
        min_doc_words=0,
        min_num_sentences=0,
        norm_config=TextNormConfig(False, False, False, False, False),
        hash_config=HashConfig(hash_fc="sha1"),
    )
    ids, texts = docs.column("id").to_pylist(), docs.text.to_pylist()
    made = [Document(text=text, id=name) for name, text in zip(ids, texts, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        SentenceDedupSignature(f"{folder}/sigs", config=config).run(iter(made))
        SentenceFindDedups(f"{folder}/sigs", f"{folder}/dups", config=config).run()
        last = SentenceDedupFilter(f"{folder}/dups", config=config)
        for _ in last.run(iter(made)):
            pass
        seconds = time.process_time() - start
    bench.add(job, "datatrove", size / seconds, "MB/s")
    bench.add(job, "datatrove", float(last.stats["removed_sentences"].total), "lines cut")


def with_a_suffix_array(bench: Bench, name: str, docs: Documents, length: int = 100) -> None:
    """Bytes that lie in a window that repeats, by `substring` and by a suffix array."""
    job = f"substring of {length} bytes, keep none, {name}"
    stage = Substring(min_bytes=length, keep="none", bounds="characters")
    size = docs.sizes().sum() / 1e6
    edits, seconds = exchange(stage, docs)
    bench.add(job, "corpusmill", size / seconds, "MB/s")
    if importlib.util.find_spec("pydivsufsort") is None:
        print("suffix array left out: pydivsufsort not installed", file=sys.stderr)
        return
    sais = importlib.import_module("pydivsufsort")
    offsets, data = docs.utf8()
    sizes = np.diff(offsets)
    first = np.concatenate([[0], np.cumsum(sizes + 1)])
    whole = np.full(int(first[-1]), 0xFF, np.uint8)  # no byte of UTF-8, between documents
    for i, start in enumerate(first[:-1].tolist()):
        whole[start : start + sizes[i]] = data[offsets[i] : offsets[i + 1]]
    start_time = time.process_time()
    suffixes = sais.divsufsort(whole)
    common = sais.kasai(whole, suffixes)
    repeats = common >= length
    windows = np.zeros(len(whole), bool)
    windows[suffixes[:-1][repeats[:-1]]] = True
    windows[suffixes[1:][repeats[:-1]]] = True
    inside = np.repeat(first[:-1] + sizes, sizes + 1) - np.arange(len(whole)) >= length
    marked = covered(np.flatnonzero(windows & inside), length, len(whole))
    bench.add(job, "suffixes", size / (time.process_time() - start_time), "MB/s")
    ours = np.zeros(len(whole), bool)
    rows, starts, ends = (edits.column(column).to_numpy() for column in ("row", "start", "end"))
    for row, begin, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        ours[int(first[row]) + begin : int(first[row]) + end] = True
    bench.add(job, "corpusmill", float((ours == marked).all()), "equal")
    bench.add(job, "corpusmill", 100 * float(ours.mean()), "% cut")


def covered(windows: npt.NDArray[np.int64], length: int, size: int) -> npt.NDArray[np.bool_]:
    """bool[size]: the bytes in a window of so many bytes at these places."""
    steps_ = np.zeros(size + 1, np.int32)
    steps_[windows] += 1
    steps_[windows + length] -= 1
    found: npt.NDArray[np.bool_] = np.cumsum(steps_[:-1]) > 0
    return found


def some(docs: Documents, megabytes: float) -> Documents:
    """The first documents of about this size together."""
    return docs.slice(0, int(np.searchsorted(np.cumsum(docs.sizes()), megabytes * 1e6)) + 1)


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    quick = options.quick
    bench = Bench("cutting")
    corpora = {"generated": documents(generated(6 if quick else 500))}
    if (options.data / "MANIFEST.tsv").is_file():
        real = [row["text"] for name in TEXTS for row in load(options.data / f"{name}.jsonl.zst")]
        code = [row["text"] for row in load(options.data / f"{CODE}.jsonl.zst", 1500 if quick else None)]
        corpora = {"text": documents(real), "code": documents(code), **corpora}
    else:
        print(f"no data in {options.data}: generated texts", file=sys.stderr)
    first = next(iter(corpora.values()))
    kernels(bench, first, 2 if quick else 5)
    for name, docs in corpora.items():
        stages(bench, name, docs)
    steps(bench, next(iter(corpora)), first.text.to_pylist())
    for name, docs in corpora.items():
        with_datatrove(bench, name, some(docs, 2 if quick else 20))
        with_a_suffix_array(bench, name, some(docs, 5 if quick else 20))
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
