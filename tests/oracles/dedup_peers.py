"""Signatures of other tools' published code, in plain Python, and the four steps of datatrove as it runs."""

from __future__ import annotations

import hashlib
import re
import string
import struct
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PRIME = (1 << 61) - 1


def sha1_32(data: bytes) -> int:
    return int(struct.unpack("<I", hashlib.sha1(data).digest()[:4])[0])


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.lower().translate(str.maketrans("", "", string.punctuation)).strip())


def shingles(preset: str, text: str) -> list[bytes]:
    """What the tool hashes: 13 characters; 13 words; 5 words, where one may be empty."""
    if preset == "slimpajama":
        form = _plain(text)
        return [form[i : i + 13].encode() for i in range(len(form) - 12)]
    if preset == "redpajama":
        units, width = unicodedata.normalize("NFD", _plain(text)).split(), 13
    elif preset == "text_dedup":
        units, width = re.split(r"\W", text.lower()), 5
    else:
        raise ValueError(preset)
    return [" ".join(units[i : i + width]).lower().encode() for i in range(len(units) - width + 1)]


def drawn(preset: str) -> tuple[list[int], list[int]]:
    """The a and b: by turns from seed 1 or 42 (128 of each), or 250 a and then 250 b from seed 42."""
    if preset == "text_dedup":
        bits = np.random.RandomState(42)
        return (
            bits.randint(1, PRIME, size=(250,), dtype=np.uint64).tolist(),
            bits.randint(0, PRIME, size=(250,), dtype=np.uint64).tolist(),
        )
    bits = np.random.RandomState(1 if preset == "slimpajama" else 42)
    pairs = [
        (int(bits.randint(1, PRIME, dtype=np.uint64)), int(bits.randint(0, PRIME, dtype=np.uint64)))
        for _ in range(128)
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def signature(preset: str, text: str, functions: tuple[list[int], list[int]]) -> list[int]:
    """Minima of (a h + b) mod 2^64 mod (2^61 - 1) mod 2^32, none for a text without shingles."""
    hashes = {sha1_32(one) for one in shingles(preset, text)}
    if not hashes:
        return []
    return [min((a * h + b) % 2**64 % PRIME % 2**32 for h in hashes) for a, b in zip(*functions, strict=True)]


def datatrove_clusters(
    texts: Sequence[str], folder: Path, words: Callable[[str], list[str]] | None, monkeypatch: Any
) -> set[frozenset[int]]:
    """Clusters of two or more documents that datatrove's steps find, as numbers of texts.

    `words`: segmentation in place of spaCy's. Its hash gets bytes, which xxhash from 4 on asks for.
    """
    import datatrove.pipeline.dedup.minhash as steps
    import xxhash
    from datatrove.data import Document

    class Words:
        def word_tokenize(self, text: str) -> list[str]:
            assert words is not None
            return words(text)

    if words is not None:
        monkeypatch.setattr(steps, "load_word_tokenizer", lambda language: Words())
    config = steps.MinhashConfig()
    sign = steps.MinhashDedupSignature(str(folder / "signatures"), config)
    sign._hash_func = lambda shingle: xxhash.xxh64_intdigest(shingle.encode())
    sign.run((Document(text=text, id=str(i)) for i, text in enumerate(texts)), 0, 1)
    find = steps.MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)
    for rank in range(config.num_buckets):
        find.run(None, rank, config.num_buckets)
    steps.MinhashDedupCluster(
        str(folder / "buckets"), str(folder / "removed"), config, save_cluster_id=True
    ).run(None, 0, 1)
    clusters: dict[int, set[int]] = {}
    content = (folder / "removed" / "000000.clusters").read_bytes()
    for document, cluster in struct.iter_unpack("<2I", content):
        clusters.setdefault(cluster, set()).add(document)
    return {frozenset(one) for one in clusters.values()}
