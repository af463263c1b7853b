"""Token shards of a made-up language, written through the real format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import write_shard

PAD, EOS = 2, 1
Writer = Callable[..., Path]


def piece(start: int, length: int, source: int) -> dict[str, Any]:
    place = {"start": start, "length": length, "offset": 0, "epoch": 0}
    return {**place, "source": source, "fim": False, "document": bytes(16)}


def write_rows(
    path: Path, rows: npt.ArrayLike, lengths: Sequence[Sequence[int]] | None = None, **changed: Any
) -> Path:
    """A shard of `rows` [R, L] of ids; a row is two pieces, halves of sources `a` and `b`, up to its
    padding, or pieces of these `lengths`, by turns of `a` and `b`. `changed` metadata replaces the defaults
    (a vocabulary of 64)."""
    matrix = np.asarray(rows)
    facts = {
        "vocab_size": 64,
        "tokenizer": "0" * 64,
        "pad_id": PAD,
        "eos_id": EOS,
        "bos_id": 0,
        "phase": {"number": 0, "name": None},
        "add_bos": False,
        "add_eos": False,
        "sources": ["a", "b"],
        **changed,
    }
    kind = np.uint16 if facts["vocab_size"] <= 2**16 else np.uint32
    pieces: list[dict[str, Any]] = []
    ends = [0]
    for number, row in enumerate(matrix):
        real = int((row != PAD).sum())
        parts = [real // 2, real - real // 2] if lengths is None else lengths[number]
        begins = np.cumsum([0, *parts]).tolist()
        pieces += [piece(begins[i], length, i % 2) for i, length in enumerate(parts)]
        ends.append(len(pieces))
    write_shard(path, matrix.astype(kind), pa.array(pieces, PIECE), np.array(ends, np.int32), facts)
    return path


def chain_language(rows: int, length: int, seed: int) -> npt.NDArray[np.int64]:
    """Ids [rows, length] of a chain over 56 words: after each word comes one of two, so a word's entropy is
    ln 2 in context while single words are close to uniform. One language whatever the seed."""
    first, second = np.random.default_rng(7).permuted(np.tile(np.arange(56), (2, 1)), axis=1)
    rng = np.random.default_rng(seed)
    text = np.zeros((rows, length), np.int64)
    text[:, 0] = rng.integers(0, 56, rows)
    for t in range(1, length):
        text[:, t] = np.where(rng.integers(0, 2, rows), first[text[:, t - 1]], second[text[:, t - 1]])
    return text + 8
