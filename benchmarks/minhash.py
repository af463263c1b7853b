"""MinHash against its peers: signatures in MB/s on one core, and whole deduplication on labelled pairs.

    python benchmarks/minhash.py [--quick] [--json] [--data DIR]

Signatures: word 5-grams and 112 hashes of the same English texts, one process; best of three for the
project, of two for the peers (of one with `--quick`), which get fewer texts. Time is CPU time of the process,
so that other work on the machine counts little. Peers are the ones that work here among datatrove (with
spacy), datasketch and rensa; one that does not is named on stderr. datatrove does its own
normalisation and segmentation; datasketch and rensa get lower-cased words split at white space, and splitting
counts, as it does for every tool.

Whole deduplication: revisions of real pages and forked packages whose true similarity is labelled. Recall is
the share of labelled pairs at J >= 0.85 of which a document is removed; precision the share of found pairs
among the labelled ones that are labelled J >= 0.75 (segmentations differ by a few hundredths). The exchange
runs in memory. Without the data folder this part is left out and the texts are generated, which stderr says.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from harness import Bench, arguments, bounded, load

from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, buffers
from corpusmill.pipelines.contract.stage import WithSides
from corpusmill.pipelines.run.resolution.at_once import resolve_at_once

ENGLISH = ("text/wikitext2_valid_test", "text/cc_c4_redpajama_samples")
LABELLED = ("neardup/tldr_revisions", "code/code_packages")
HASHES, BANDS, WIDTH = 112, 14, 5
Row = dict[str, Any]


def generated(megabytes: float) -> list[str]:
    """English-like texts of Zipfian words, for machines without the data."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (i + 1) for i in range(len(words))]
    texts, size = [], 0
    while size < megabytes * 1e6:
        texts.append(" ".join(rng.choices(words, weights, k=rng.randint(100, 1000))))
        size += len(texts[-1])
    return texts


def rate(texts: list[str], work: Callable[[list[str]], object], repeats: int) -> float:
    """MB/s of `work`, best of `repeats`."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work(texts)
        best = min(best, time.process_time() - start)
    return size / best


def some(texts: list[str], megabytes: float) -> list[str]:
    """The first texts of about this size together."""
    chosen, size = [], 0
    for text in texts:
        if size > megabytes * 1e6:
            break
        chosen.append(text)
        size += len(text.encode())
    return chosen


def with_corpusmill(texts: list[str]) -> object:
    stage = Minhash(preset="fineweb")
    return stage.sketch(*buffers(pa.array(texts, pa.large_string())))


def with_datatrove(texts: list[str]) -> object:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    # Its default hash hands str to xxhash, which xxhash 4 refuses; sha1 costs it a few per cent.
    hashing = HashConfig(hash_fc="sha1", precision=64)
    config = MinhashConfig(
        n_grams=WIDTH, num_buckets=BANDS, hashes_per_bucket=HASHES // BANDS, hash_config=hashing
    )
    step = MinhashDedupSignature(output_folder="/nonexistent", config=config)
    return [step.get_signature(step.get_shingles(text)) for text in texts if len(text.split()) >= 2 * WIDTH]


def _shingles(text: str) -> set[str]:
    words = text.lower().split()
    return {" ".join(words[i : i + WIDTH]) for i in range(len(words) - WIDTH + 1)}


def with_datasketch(texts: list[str]) -> object:
    from datasketch import MinHash

    out = []
    for text in texts:
        sketch = MinHash(num_perm=HASHES)
        sketch.update_batch([shingle.encode() for shingle in _shingles(text)])
        out.append(sketch)
    return out


def with_rensa(texts: list[str]) -> object:
    rensa = importlib.import_module("rensa")

    out = []
    for text in texts:
        sketch = rensa.RMinHash(num_perm=HASHES, seed=1)
        sketch.update(list(_shingles(text)))
        out.append(sketch.digest())
    return out


# What to run, the modules it needs, and about how many megabytes take it a second.
PEERS: dict[str, tuple[Callable[[list[str]], object], tuple[str, ...], float]] = {
    "datatrove": (with_datatrove, ("datatrove", "spacy"), 0.4),
    "datasketch": (with_datasketch, ("datasketch",), 1.5),
    "rensa": (with_rensa, ("rensa",), 3.0),
}


def signatures(bench: Bench, texts: list[str], quick: bool) -> None:
    """MB/s of every tool."""
    job = "signatures, word 5-grams, 112 hashes"
    with_corpusmill(texts[:1])  # compiles, or loads what was compiled before
    ours = rate(some(texts, 8) if quick else texts, with_corpusmill, 3)
    bench.add(job, "corpusmill", ours, "MB/s")
    for tool, (work, modules, megabytes) in PEERS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            print(f"{tool} left out: {', '.join(missing)} not installed", file=sys.stderr)
            continue
        cut = some(texts, megabytes if quick else 4 * megabytes)
        work(cut[:1])
        bench.add(job, tool, rate(cut, work, 1 if quick else 2), "MB/s")


def as_documents(rows: list[Row]) -> Documents:
    columns = {
        "id": [row["id"] for row in rows],
        "text": [row["text"] for row in rows],
        "source": ["labelled"] * len(rows),
        "domain": ["web"] * len(rows),
        "meta": ["{}"] * len(rows),
    }
    return Documents(
        pa.table([pa.array(columns.get(f.name, [None] * len(rows)), f.type) for f in SCHEMA], schema=SCHEMA)
    )


def deduplicate(stage: Minhash, docs: Documents, partitions: int) -> tuple[pa.Table, pa.Table]:
    """`(pairs, removals)` of the whole exchange, in memory."""
    emitted = stage.emit(docs, 0, np.arange(len(docs), dtype=np.uint32))
    assert emitted.side is not None
    meet, bring, _ = stage.rounds()
    assert isinstance(bring, WithSides)
    assert not isinstance(meet, WithSides)
    by = [("key", "ascending"), ("unit", "ascending"), ("row", "ascending")]
    shared = pa.concat_tables([meet(rows) for rows in apart(emitted.rows.sort_by(by), partitions)])
    shared = shared.sort_by(by[1:]).combine_chunks()
    asked = np.unique(shared.column("row").to_numpy())
    brought = bring.work(shared, emitted.side.take(pa.array(asked)).combine_chunks())
    assert isinstance(brought, pa.Table)
    parts = [stage.reduce(rows) for rows in apart(brought.sort_by(by).combine_chunks(), partitions)]
    found = pa.concat_tables([DUPLICATES.empty_table(), *parts])
    return found, resolve_at_once(found, stage.resolution())


def apart(rows: pa.Table, partitions: int) -> list[pa.Table]:
    """Rows, sorted by key, of each partition."""
    bounds = np.array([p * 2**64 // partitions for p in range(1, partitions)], np.uint64)
    cuts = [0, *np.searchsorted(rows.column("key").to_numpy(), bounds).tolist(), rows.num_rows]
    return [rows.slice(start, end - start) for start, end in pairwise(cuts) if end > start]


def whole(bench: Bench, data: Path, quick: bool) -> None:
    """Speed, recall and precision of deduplicating labelled data."""
    texts = [row for name in LABELLED[: 1 if quick else 2] for row in load(data / f"{name}.jsonl.zst")]
    docs = as_documents(texts)
    known = set(docs.column("id").to_pylist())
    labels = []
    path = data / "neardup" / "labelled_pairs.tsv.zst"
    import zstandard

    for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode().split("\n")[1:]:
        if line:
            _, a, b, _, value = line.split("\t")
            if a in known and b in known:
                labels.append((a, b, float(value)))
    deduplicate(Minhash(), docs.slice(0, 10), 1)
    for preset in ("verified", "fineweb"):
        stage = Minhash.model_validate({"preset": preset})
        start = time.process_time()
        found, removed = deduplicate(stage, docs, 8)
        seconds = time.process_time() - start
        survivor = dict(
            zip(removed.column("id").to_pylist(), removed.column("survivor_id").to_pylist(), strict=True)
        )
        pairs = set(zip(found.column("id").to_pylist(), found.column("survivor_id").to_pylist(), strict=True))
        alike = [(a, b) for a, b, value in labels if value >= 0.85]
        hit = sum(a in survivor or b in survivor for a, b in alike)
        judged = [value for a, b, value in labels if (a, b) in pairs or (b, a) in pairs]
        values = {
            "MB/s": docs.sizes().sum() / 1e6 / seconds,
            "documents/s": len(docs) / seconds,
            "removed": float(removed.num_rows),
            "recall": hit / len(alike),
            "precision": sum(value >= 0.75 for value in judged) / len(judged),
        }
        job = f"whole deduplication of labelled pairs, preset {preset}"
        for unit, value in values.items():
            bench.add(job, "corpusmill", float(value), unit)


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    real = (options.data / "MANIFEST.tsv").is_file()
    if real:
        texts = [row["text"] for name in ENGLISH for row in load(options.data / f"{name}.jsonl.zst")]
    else:
        print(f"no data in {options.data}: generated texts, no labelled pairs", file=sys.stderr)
        texts = generated(3)
    bench = Bench("minhash")
    signatures(bench, texts, options.quick)
    if real:
        whole(bench, options.data, options.quick)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
