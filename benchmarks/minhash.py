"""MinHash against its peers: signatures, whole deduplication, and what of an exact join it finds.

    python benchmarks/minhash.py [--quick] [--json] [--data DIR]

Times are CPU time of this process and its children, in MB of UTF-8 text a second; compiling is not counted.
Peers are those installed among datatrove (with spacy), text-dedup, datasketch, rensa and marin-dupekit; a row
says which are not. How each is run: `minhash_peers.py`.

**Signatures**: 112 hash functions of word 5-grams of the same English texts, splitting into words included;
dupekit has 5 characters. Best of five for the project, of two for peers (of one with `--quick`), which get
fewer texts. The project's has the sets that pairs are measured by, sorted, besides. `words hashed` and
`plain scan`: the words of the same texts hashed and nothing else, by the project's kernel and by a loop over
bytes (`word_scans.py`).

**Whole deduplication**: one Parquet file of 20,000 real documents (pages, code, articles in many languages;
1,500 with `--quick`) to Parquet of the documents kept. The project runs a recipe by the engine `inline`, with
ids, checksums, receipts and the verification of all pairs, then `export --to parquet`; `steps of dedup` are
those from the documents as a run holds them to its removals. Best of three for a tool that takes under 10 s.

**Exact join**: every pair of these documents at a Jaccard index of 0.7 or more, of word 5-grams
(`exact_join.py`). Recall is the share of pairs at 0.8 or more of which a document is removed; precision the
share of removed documents that are at 0.8 or more to one that is kept. Documents without shingles count in
neither. Tools that compare other things (characters, other words) are judged by the same pairs.

**Labelled pairs**: revisions of real pages and forked packages. Recall of the pairs labelled 0.85 or more;
precision: found pairs among the labelled ones that are labelled 0.75 or more. **datatrove's clusters**: the
preset `fineweb` beside datatrove's own steps and spaCy's words, on the first 3,000 documents (600).

Without the data folder texts are generated, and the parts that need real documents are left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from exact_join import Pairs, exact_pairs, precision, recall
from harness import Bench, arguments, bounded, load
from minhash_peers import PEERS, Peer, datatrove_clusters
from word_scans import with_plain_scan, with_words_alone

from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, buffers
from corpusmill.pipelines.contract.stage import WithSides
from corpusmill.pipelines.exports.parquet import export_parquet
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.resolution.at_once import resolve_at_once
from corpusmill.pipelines.run.runner import run_recipe

ENGLISH = ("text/wikitext2_valid_test", "text/cc_c4_redpajama_samples")
LABELLED = ("neardup/tldr_revisions", "code/code_packages")
REAL = (*LABELLED, "text/tldr_pages_multilang", *ENGLISH, "text/ruanyf_weekly_zh")
THRESHOLD = 0.8
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
    return Minhash(bands=14, rows=8).sketch(*buffers(pa.array(texts, pa.large_string())))


def installed(bench: Bench, tool: str, peer: Peer, job: str) -> bool:
    """Whether a peer can run; a row says what is missing."""
    missing = [name for name in peer.modules if importlib.util.find_spec(name) is None]
    if missing:
        bench.leave_out(job, tool, f"left out: {', '.join(missing)} not installed")
    return not missing


def signatures(bench: Bench, texts: list[str], quick: bool) -> None:
    """MB/s of every tool."""
    job = "signatures, word 5-grams, 112 hashes"
    ours = some(texts, 8) if quick else texts
    compared: dict[str, Callable[[list[str]], object]] = {
        "corpusmill": with_corpusmill,
        "words hashed": with_words_alone,
        "plain scan": with_plain_scan,
    }
    for work in compared.values():
        work(texts[:1])  # compiles, or loads what was compiled before
    # In turn: a machine's speed may change within seconds.
    rounds = [{tool: rate(ours, work, 1) for tool, work in compared.items()} for _ in range(5)]
    for tool in compared:
        bench.add(job, tool, max(found[tool] for found in rounds), "MB/s")
    for tool, peer in PEERS.items():
        if installed(bench, tool, peer, job):
            cut = some(texts, peer.megabytes * (1 if quick else 4))
            peer.signatures(cut[:1])
            bench.add(job, tool, rate(cut, peer.signatures, 1 if quick else 2), "MB/s")


def corpus(data: Path, quick: bool) -> list[str]:
    """1,500 revisions of pages, of which many are near-duplicates, or 20,000 real documents of all kinds."""
    if quick:
        return [row["text"] for row in load(data / f"{LABELLED[0]}.jsonl.zst", 1500)]
    texts = [row["text"] for name in REAL for row in load(data / f"{name}.jsonl.zst")]
    random.Random(0).shuffle(texts)
    return texts[:20_000]


def recipe_for(source: Path) -> Recipe:
    recipe = source.parent / "recipe.yaml"
    recipe.write_text(
        "name: minhash\noutput: run\nengine: {kind: inline}\n"
        f"sources: {{web: {{read: {{parquet: {source.name}}}}}}}\ndedup: [minhash]\n"
    )
    return load_recipe(recipe)


def corpusmill_pipeline(source: Path, target: Path) -> None:
    run_recipe(recipe_for(source))
    export_parquet(source.parent / "run", source.parent / "kept")
    (source.parent / "kept" / "data" / "web").rename(target)


def steps_of_dedup(texts: list[str]) -> float:
    """CPU seconds from the documents as a run holds them to its removals."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for(written(texts, Path(folder)))
        run_recipe(recipe, until=["web"])
        start = cpu_seconds()
        run_recipe(recipe)
        return cpu_seconds() - start


def cpu_seconds() -> float:
    """Of this process and the children that have ended."""
    return sum(os.times()[:4])


def pipelines(bench: Bench, texts: list[str]) -> None:
    """Parquet to kept Parquet by every tool, and recall and precision of each by the exact join."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    job = "whole deduplication, Parquet to kept Parquet"
    start = cpu_seconds()
    pairs = exact_pairs(texts, 0.7)
    bench.add(job, "exact join", megabytes / (cpu_seconds() - start), "MB/s")
    bench.add(job, "exact join", float(len(pairs.first)), "pairs at 0.7 or more")
    bench.add(job, "exact join", float((pairs.jaccard >= THRESHOLD).sum()), "pairs at 0.8 or more")
    with_shingles = np.zeros(len(texts), bool)
    ends = Minhash(short="keep").sketch(*buffers(pa.array(texts, pa.large_string())))[0]
    with_shingles[np.diff(ends) > 0] = True
    warm = [texts[0]] * 2 + texts[:50]
    for tool, peer in [("corpusmill", None), *PEERS.items()]:
        if peer is not None and not installed(bench, tool, peer, job):
            continue
        pipeline = corpusmill_pipeline if peer is None else peer.pipeline
        kept_of(pipeline, warm)
        times: list[float] = []
        while not times or (len(times) < 3 and times[0] < 10):
            start = cpu_seconds()
            kept = kept_of(pipeline, texts)
            times.append(cpu_seconds() - start)
        bench.add(job, tool, megabytes / min(times), "MB/s")
        judge(bench, job, tool, pairs, ~kept & with_shingles)
        if peer is None:
            bench.add(job, "steps of dedup", megabytes / steps_of_dedup(texts), "MB/s")


def judge(bench: Bench, job: str, tool: str, pairs: Pairs, removed: npt.NDArray[np.bool_]) -> None:
    bench.add(job, tool, float(removed.sum()), "removed")
    bench.add(job, tool, recall(pairs, removed, THRESHOLD)[0], "recall")
    bench.add(job, tool, precision(pairs, removed, THRESHOLD), "precision")


def kept_of(pipeline: Callable[[Path, Path], None], texts: list[str]) -> npt.NDArray[np.bool_]:
    """bool[n]: which of the texts a pipeline keeps."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kept.parquet"
        pipeline(written(texts, Path(folder)), target)
        found = pq.read_table(target)
        kept = np.zeros(len(texts), bool)
        kept[own_numbers(found)] = True
        return kept


def written(texts: list[str], folder: Path) -> Path:
    source = folder / "docs.parquet"
    table = pa.table({"id": [str(i) for i in range(len(texts))], "text": texts})
    pq.write_table(table, source, row_group_size=2000)
    return source


def own_numbers(kept: pa.Table) -> npt.NDArray[np.int64]:
    """The `id` of each row of the source; the project gives ids of its own, and keeps these in `meta`."""
    if "meta" not in kept.column_names:
        return np.array(kept.column("id").to_pylist(), np.int64)
    return np.array([int(json.loads(meta)["id"]) for meta in kept.column("meta").to_pylist()], np.int64)


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
    for preset in ("verified", "fineweb"):
        stage = Minhash.model_validate({"preset": preset})
        deduplicate(stage, docs.slice(0, 10), 1)
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


def clusters(bench: Bench, texts: list[str]) -> None:
    """What the preset `fineweb` and datatrove's steps cluster otherwise, which is what spaCy divides."""
    job = "datatrove's clusters, preset fineweb"
    if not installed(bench, "datatrove", PEERS["datatrove"], job):
        return
    texts = [text for text in texts if text]
    with tempfile.TemporaryDirectory() as folder:
        theirs = datatrove_clusters(written(texts, Path(folder)))
    docs = as_documents([{"id": str(i), "text": text} for i, text in enumerate(texts)])
    _, removed = deduplicate(Minhash(preset="fineweb"), docs, 1)
    ours: dict[str, set[int]] = {}
    for one, survivor in zip(*(removed.column(n).to_pylist() for n in ("id", "survivor_id")), strict=True):
        ours.setdefault(survivor, {int(survivor)}).add(int(one))
    own = {frozenset(one) for one in ours.values()}
    bench.add(job, "datatrove", float(sum(map(len, theirs))), "documents in clusters")
    bench.add(job, "corpusmill", float(sum(map(len, own))), "documents in clusters")
    one_alone = set().union(*own) ^ set().union(*theirs)
    bench.add(job, "corpusmill", float(len(one_alone)), "documents in a cluster of one of the two alone")
    bench.add(job, "corpusmill", float(len(own ^ theirs)), "clusters of one of the two alone")


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # text-dedup loads files of this machine alone
    real = (options.data / "MANIFEST.tsv").is_file()
    if real:
        texts = [row["text"] for name in ENGLISH for row in load(options.data / f"{name}.jsonl.zst")]
    else:
        print(f"no data in {options.data}: generated texts, and no real documents", file=sys.stderr)
        texts = generated(3)
    bench = Bench("minhash")
    signatures(bench, texts, options.quick)
    if real:
        whole(bench, options.data, options.quick)
        clusters(bench, corpus(options.data, options.quick)[: 600 if options.quick else 3000])
        pipelines(bench, corpus(options.data, options.quick))
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
