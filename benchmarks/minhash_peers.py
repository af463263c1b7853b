"""Other tools, for `minhash.py`: their signatures of texts, and their pipelines from Parquet to kept Parquet.

Every pipeline reads the columns `id` and `text` of one Parquet file and writes those of the documents it
keeps into another, in this process. Shingles are word 5-grams (white space, lower case) where a tool leaves
them to its user; dupekit has 5 characters and no other choice. datasketch has 128 hash functions and its own
best bands for a threshold of 0.8; datatrove its default, 14 x 8; text-dedup 250 functions and its best bands
for 0.8; rensa 128, 16 bands and its check of estimated similarity; dupekit 286 and 26 bands, as in marin.
"""

from __future__ import annotations

import importlib
import shutil
import struct
import tempfile
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

HASHES, BANDS, ROWS, WIDTH = 112, 14, 8, 5
THRESHOLD = 0.8


def shingles(text: str) -> list[str]:
    words = text.lower().split()
    return list({" ".join(words[i : i + WIDTH]) for i in range(len(words) - WIDTH + 1)})


def datatrove_signature_step(folder: str) -> Any:
    """Its first step, with bytes for its hash, as xxhash from 4 on asks for."""
    import xxhash
    from datatrove.pipeline.dedup import MinhashDedupSignature

    step = MinhashDedupSignature(folder)
    step._hash_func = lambda shingle: xxhash.xxh64_intdigest(shingle.encode())
    return step


def datatrove_signatures(texts: list[str]) -> object:
    step = datatrove_signature_step("/nonexistent")
    return [step.get_signature(step.get_shingles(text)) for text in texts if len(text.split()) >= 2 * WIDTH]


def datasketch_signatures(texts: list[str]) -> object:
    from datasketch import MinHash

    out = []
    for text in texts:
        sketch = MinHash(num_perm=HASHES)
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        out.append(sketch)
    return out


def rensa_signatures(texts: list[str]) -> object:
    rensa = importlib.import_module("rensa")
    return rensa.RMinHash.digests_from_token_sets([shingles(text) for text in texts], HASHES, 1)


def dupekit_signatures(texts: list[str]) -> object:
    return _dupekit(texts, HASHES, BANDS)


def text_dedup_signatures(texts: list[str]) -> object:
    import numpy as np

    tool = importlib.import_module("text_dedup.minhash")
    prime = np.uint64((1 << 61) - 1)
    drawn = np.random.RandomState(42).randint(1, prime, size=(2, HASHES), dtype=np.uint64)
    ranges = [(i * ROWS, (i + 1) * ROWS) for i in range(BANDS)]
    return [
        tool.embed_func(
            text,
            i,
            num_perm=HASHES,
            ngram_size=WIDTH,
            min_length=WIDTH,
            hashranges=ranges,
            permutations=(drawn[0], drawn[1]),
            hash_func=tool.sha1_hash,
            dtype=np.uint64,
            max_hash=np.uint32((1 << 32) - 1),
            modulo_prime=prime,
        )
        for i, text in enumerate(texts)
        if len(text.split()) >= WIDTH
    ]


def _dupekit(texts: list[str], hashes: int, bands: int) -> pa.RecordBatch:
    dupekit = importlib.import_module("dupekit")
    step = dupekit.Transformation
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    return dupekit.transform(
        batch,
        [
            step.CleanText("text", "clean"),
            step.MinHash("clean", "signature", hashes, WIDTH, 1),
            step.MinHashLSH("signature", "buckets", bands),
            step.SelectColumns(["buckets"]),
        ],
    )


Keys = Callable[[list[str]], Iterable[Iterable[Hashable]]]


def keep_one_of_each(source: Path, target: Path, keys: Keys) -> None:
    """Documents that share a key are of one cluster, and of each cluster the first is kept."""
    table = pq.read_table(source)
    parent = list(range(table.num_rows))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, own in enumerate(keys(table.column("text").to_pylist())):
        for key in own:
            low, high = sorted((root(first.setdefault(key, i)), root(i)))
            parent[high] = low
    pq.write_table(table.filter(pa.array([root(i) == i for i in range(len(parent))])), target)


def datasketch_pipeline(source: Path, target: Path) -> None:
    from datasketch import MinHash, MinHashLSH

    table = pq.read_table(source)
    lsh = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    kept = []
    for i, text in enumerate(table.column("text").to_pylist()):
        found = shingles(text)
        if found:
            sketch = MinHash(num_perm=128)
            sketch.update_batch([shingle.encode() for shingle in found])
            if lsh.query(sketch):
                continue
            lsh.insert(i, sketch)
        kept.append(i)
    pq.write_table(table.take(pa.array(kept)), target)


def rensa_pipeline(source: Path, target: Path) -> None:
    """Sketches in one call, then its deduplicator, which checks the estimated similarity of candidates."""
    rensa = importlib.import_module("rensa")
    table = pq.read_table(source)
    tokens = [shingles(text) for text in table.column("text").to_pylist()]
    sketches = rensa.RMinHash.from_token_sets(tokens, num_perm=128, seed=42)
    tool = rensa.RMinHashDeduplicator(threshold=THRESHOLD, num_perm=128, use_lsh=True, num_bands=16)
    kept = [
        i
        for i, (own, sketch) in enumerate(zip(tokens, sketches, strict=True))
        if not own or tool.add(str(i), sketch)
    ]
    pq.write_table(table.take(pa.array(kept)), target)


def dupekit_pipeline(source: Path, target: Path) -> None:
    def keys(texts: list[str]) -> Iterable[list[Hashable]]:
        for row in _dupekit(texts, 286, 26).column("buckets").to_pylist():
            yield list(enumerate(row or []))

    keep_one_of_each(source, target, keys)


def datatrove_steps(source: Path, folder: str) -> Any:
    """The first three steps, with files in `folder`; the reader, for the fourth. It leaves out texts that are
    empty, and does not count them."""
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.utils.logging import logger

    logger.remove()
    read = ParquetReader(str(source.parent), glob_pattern=source.name)
    datatrove_signature_step(f"{folder}/signatures").run(read.run(), 0, 1)
    for rank in range(BANDS):
        MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets").run(None, rank, BANDS)
    cluster = MinhashDedupCluster(f"{folder}/buckets", f"{folder}/removed", save_cluster_id=True)
    cluster.run(None, 0, 1)
    return read


def datatrove_pipeline(source: Path, target: Path) -> None:
    from datatrove.pipeline.dedup import MinhashDedupFilter
    from datatrove.pipeline.writers import ParquetWriter

    with tempfile.TemporaryDirectory() as folder:
        read = datatrove_steps(source, folder)
        kept = MinhashDedupFilter(f"{folder}/removed").run(read.run(), 0, 1)
        write = ParquetWriter(f"{folder}/kept", output_filename="${rank}.parquet")
        for _ in write.run(kept, 0, 1):
            pass
        shutil.move(next(Path(f"{folder}/kept").glob("*.parquet")), target)


def datatrove_clusters(source: Path) -> set[frozenset[int]]:
    """Its clusters of two or more documents, as numbers of the texts that are not empty."""
    clusters: dict[int, set[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        datatrove_steps(source, folder)
        content = Path(f"{folder}/removed/000000.clusters").read_bytes()
    for document, cluster in struct.iter_unpack("<2I", content):
        clusters.setdefault(cluster, set()).add(document)
    return {frozenset(one) for one in clusters.values()}


def text_dedup_pipeline(source: Path, target: Path) -> None:
    """Its command line in this process, and what it saved as Parquet."""
    tool = importlib.import_module("text_dedup.minhash")
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "in"
        own.mkdir()
        (own / "part.parquet").symlink_to(source)
        given = {
            "path": "parquet",
            "data_files": str(own / "part.parquet"),
            "split": "train",
            "cache_dir": f"{folder}/cache",
            "output": f"{folder}/out",
            "column": "text",
            "ngram": str(WIDTH),
            "threshold": str(THRESHOLD),
            "num_proc": "1",
        }
        tool.main.main(
            [part for name, value in given.items() for part in (f"--{name}", value)], standalone_mode=False
        )
        pq.write_table(datasets.load_from_disk(f"{folder}/out").data.table, target)


class Peer(NamedTuple):
    """What to run, the modules it needs, and about how many megabytes a second it takes."""

    signatures: Callable[[list[str]], object]
    pipeline: Callable[[Path, Path], None]
    modules: tuple[str, ...]
    megabytes: float


PEERS = {
    "datatrove": Peer(datatrove_signatures, datatrove_pipeline, ("datatrove", "spacy"), 0.4),
    "text-dedup": Peer(text_dedup_signatures, text_dedup_pipeline, ("text_dedup",), 0.8),
    "datasketch": Peer(datasketch_signatures, datasketch_pipeline, ("datasketch",), 1.5),
    "rensa": Peer(rensa_signatures, rensa_pipeline, ("rensa",), 8.0),
    "dupekit": Peer(dupekit_signatures, dupekit_pipeline, ("dupekit",), 4.0),
}
