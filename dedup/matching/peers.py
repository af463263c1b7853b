"""The MinHash of other tools: text form, hash of a shingle, and how hash functions are drawn from a seed.

| preset | form | hash | functions | drawn |
|---|---|---|---|---|
| `datasketch` 2.0 | `datasketch` | SHA-1, 32 bits | `affine32` | all a, then all b |
| `fineweb`: datatrove 0.10 | `datatrove` | XXH64 | `mersenne`, 64 bits | all a, then all b |
| `slimpajama`: datasketch 1 | `slimpajama` | SHA-1, 32 bits | `mersenne`, 32 bits | a and b by turns |
| `redpajama` | `redpajama` | SHA-1, 32 bits | `mersenne`, 32 bits | a and b by turns |
| `text_dedup` 0.4 | `text_dedup` | SHA-1, 32 bits | `mersenne`, 32 bits | all a, then all b |

All draw from numpy's `RandomState(seed)`, whose numbers numpy keeps as they are (NEP 19). Sources:
`datasketch/minhash.py`, `datatrove/pipeline/dedup/minhash.py`, Cerebras modelzoo
`slimpajama/dedup/to_hash.py`, RedPajama-Data `app/src/dedupe/minhash.py`, `text_dedup/minhash.py`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.peer_signatures import peer_sketch
from corpusmill.dedup.matching.peer_forms import form

_PRIME = (1 << 61) - 1
_ALL = (1 << 64) - 1
_HALF = (1 << 32) - 1

Hashes = npt.NDArray[np.uint64]


class Peer(NamedTuple):
    """A tool's MinHash. `mask`: the bits of a value modulo 2^61 - 1 that count."""

    form: str
    element: Literal["sha1", "xxh64"]
    functions: Literal["affine32", "mersenne"]
    drawn: Literal["blocks", "turns"]
    mask: int


PEERS: dict[str, Peer] = {
    "datasketch": Peer("datasketch", "sha1", "affine32", "blocks", _HALF),
    "fineweb": Peer("datatrove", "xxh64", "mersenne", "blocks", _ALL),
    "slimpajama": Peer("slimpajama", "sha1", "mersenne", "turns", _HALF),
    "redpajama": Peer("redpajama", "sha1", "mersenne", "turns", _HALF),
    "text_dedup": Peer("text_dedup", "sha1", "mersenne", "blocks", _HALF),
}


def functions(peer: Peer, count: int, seed: int) -> tuple[Hashes, Hashes]:
    """The a and b of `count` hash functions, uint64[count] each."""
    bits = np.random.RandomState(seed)
    if peer.functions == "affine32":
        odd = bits.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        return odd.astype(np.uint64), bits.randint(0, 1 << 32, count, dtype=np.uint32).astype(np.uint64)
    if peer.drawn == "blocks":
        a = bits.randint(1, _PRIME, count, dtype=np.uint64)
        return a, bits.randint(0, _PRIME, count, dtype=np.uint64)
    pairs = [[bits.randint(low, _PRIME, dtype=np.uint64) for low in (1, 0)] for _ in range(count)]
    a, b = np.array(pairs, np.uint64).reshape(-1, 2).T
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


def sketch(
    peer: Peer,
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    by_word: bool,
    width: int,
    bands: int,
    rows: int,
    drawn: int,
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Hashes, Hashes, Hashes]:
    """As `peer_signatures.peer_sketch`: the first `bands` x `rows` of `drawn` functions, rows in the order of
    their bands."""
    a, b = (values[: bands * rows].copy() for values in functions(peer, drawn, seed))
    tables = form(peer.form)
    return peer_sketch(
        offsets,
        data,
        tables.kind,
        tables.place,
        tables.pool,
        tables.separator,
        tables.growth,
        by_word,
        width,
        peer.element == "sha1",
        peer.functions == "affine32",
        a,
        b,
        np.uint64(peer.mask),
        bands,
    )
