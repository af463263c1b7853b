"""Shards of documents laid end to end, cut wherever a row ends, rows in a random order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import write_shard

PAD, EOS = 2, 1
Ids = npt.NDArray[np.int64]


def made_documents(count: int, seed: int, longest: int = 30, vocabulary: int = 500) -> list[Ids]:
    """Documents of 1 to `longest` tokens that end in EOS."""
    rng = np.random.default_rng(seed)
    return [
        np.append(rng.integers(3, vocabulary, rng.integers(0, longest)), EOS).astype(np.int64)
        for _ in range(count)
    ]


def write_concatenated(
    path: Path,
    documents: Sequence[Ids],
    *,
    length: int = 8,
    names: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
    **changed: Any,
) -> Path:
    """A shard of the documents in rows of `length`; document i has the id and epoch of `names[i]`, or id i,
    and belongs to source i % 2. `changed` metadata replaces the defaults."""
    names = names if names is not None else [(i, 0) for i in range(len(documents))]
    flat = np.concatenate([np.zeros(0, np.int64), *documents])
    rows = -(-len(flat) // length)
    padded = np.full(rows * length, PAD, np.int64)
    padded[: len(flat)] = flat
    pieces: list[list[dict[str, Any]]] = [[] for _ in range(rows)]
    at = 0
    for number, ids in enumerate(documents):
        offset = 0
        while offset < len(ids):
            row, start = divmod(at, length)
            size = min(length - start, len(ids) - offset)
            name, epoch = names[number]
            piece = {"start": start, "length": size, "source": number % 2, "fim": number % 3 == 0}
            pieces[row].append(
                {**piece, "document": name.to_bytes(16, "big"), "offset": offset, "epoch": epoch}
            )
            offset, at = offset + size, at + size
    order = np.random.default_rng(seed).permutation(rows)
    tokens = [sum(len(one) for one in documents[k::2]) for k in (0, 1)]
    facts = {
        "vocab_size": 500,
        "pad_id": PAD,
        "bos_id": 0,
        "eos_id": EOS,
        "add_bos": False,
        "add_eos": True,
        "phase": {"number": 0, "name": None},
        "split": "train",
        "partition": 0,
        "sources": ["a", "b"],
        "tokenizer": "0" * 64,
        "cut": [],
        "counts": {
            "rows": rows,
            "tokens": len(flat),
            "padding": len(padded) - len(flat),
            "documents": len(documents),
            "empty_documents": 0,
            "fim_documents": -(-len(documents) // 3),
            "pieces": sum(map(len, pieces)),
            "tokens_by_source": dict(zip("ab", tokens, strict=True)),
            "documents_by_source": {"a": -(-len(documents) // 2), "b": len(documents) // 2},
        },
        **changed,
    }
    kind = np.uint16 if facts["vocab_size"] <= 2**16 else np.uint32
    laid = [piece for row in order for piece in pieces[row]]
    ends = np.cumsum([0, *(len(pieces[row]) for row in order)]).astype(np.int32)
    matrix = padded.reshape(rows, length)[order].astype(kind)
    write_shard(path, matrix, pa.array(laid, PIECE), ends, facts)
    return path
