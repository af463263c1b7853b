"""Shards with all that judging needs: one document a row, of known size in bytes."""

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
BYTES = 3  # a token


def write_documents(
    path: Path,
    rows: npt.ArrayLike,
    *,
    documents: Sequence[int] | None = None,
    epochs: Sequence[int] | None = None,
    sources: Sequence[str] = ("a", "b"),
    first: int = 0,
    **changed: Any,
) -> Path:
    """A shard whose row r is document `documents[r]` (r + `first` if not given) in epoch `epochs[r]`, of
    source r % len(sources), up to its padding."""
    matrix = np.asarray(rows)
    filled = (matrix != PAD).sum(axis=1)
    names = documents if documents is not None else range(first, first + len(matrix))
    pieces = [
        {
            "start": 0,
            "length": int(filled[r]),
            "source": r % len(sources),
            "fim": False,
            "document": int(names[r]).to_bytes(16, "big"),
            "offset": 0,
            "epoch": epochs[r] if epochs is not None else 0,
        }
        for r in range(len(matrix))
        if filled[r]
    ]
    tokens = {name: int(filled[k :: len(sources)].sum()) for k, name in enumerate(sources)}
    counts = {
        "rows": len(matrix),
        "tokens": int(filled.sum()),
        "padding": int(matrix.size - filled.sum()),
        "documents": int((filled > 0).sum()),
        "tokens_by_source": tokens,
        "bytes_by_source": {name: BYTES * count for name, count in tokens.items()},
        "documents_by_source": {
            name: int((filled[k :: len(sources)] > 0).sum()) for k, name in enumerate(sources)
        },
    }
    facts = {
        "vocab_size": 64,
        "tokenizer": "0" * 64,
        "pad_id": PAD,
        "eos_id": EOS,
        "bos_id": 0,
        "phase": {"number": 0, "name": None},
        "add_bos": False,
        "add_eos": False,
        "sources": list(sources),
        "counts": counts,
        **changed,
    }
    ends = np.concatenate([[0], np.cumsum(filled > 0)]).astype(np.int32)
    write_shard(path, matrix.astype(np.uint16), pa.array(pieces, PIECE), ends, facts)
    return path
