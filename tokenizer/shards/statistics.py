"""What a set of shards holds: token totals, shares, fill-in-the-middle, padding, pieces, document lengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN
from corpusmill.tokenizer.shards.reader import Shard, open_shard


def mixture_statistics(shards: Sequence[Path]) -> dict[str, Any]:
    """Statistics of the shards that are trained on together, JSON-ready, and of the others `held_out`.

    Shares are of tokens without padding; `padding_share` is of all places; `fim_rate` is of documents;
    `split_rate` is of tokens that combine punctuation and line breaks (`combined_tokens`; both null where
    the shards do not count them). A share of nothing is null.
    `document_lengths` counts documents (copies each) by length in tokens: a key "n" holds lengths
    n..2n-1 (n a power of two). `held_out` counts shards, rows, tokens, padding and documents.
    Raises IntegrityError for a damaged shard.
    """
    totals = dict.fromkeys(("rows", "tokens", "padding", "documents", "fim_documents", "pieces"), 0)
    combined: list[tuple[int, int]] = []
    by_source: dict[str, dict[str, int]] = {}
    lengths = np.zeros(64, np.int64)
    held_out = dict.fromkeys(("shards", "rows", "tokens", "padding", "documents"), 0)
    for path in shards:
        shard = open_shard(path)
        counts = shard.metadata["counts"]
        if shard.metadata.get("split", TRAIN) == HELD_OUT:
            held_out = {name: held_out[name] + {**counts, "shards": 1}[name] for name in held_out}
            continue
        for name in totals:
            totals[name] += counts[name]
        if "combined_tokens" in counts:
            combined.append((counts["combined_tokens"], counts["split_tokens"]))
        for source in shard.metadata["sources"]:
            mine = by_source.setdefault(source, {"tokens": 0, "documents": 0})
            mine["tokens"] += counts["tokens_by_source"][source]
            mine["documents"] += counts["documents_by_source"][source]
        lengths += _length_histogram(shard)
    places = totals["tokens"] + totals["padding"]
    met, split = (sum(column) for column in zip(*combined, strict=True)) if combined else (None, 0)
    return {
        "shards": len(shards) - held_out["shards"],
        **totals,
        "padding_share": totals["padding"] / places if places else None,
        "fim_rate": totals["fim_documents"] / totals["documents"] if totals["documents"] else None,
        "combined_tokens": met,
        "split_rate": split / met if met else None,
        "pieces_per_row": totals["pieces"] / totals["rows"] if totals["rows"] else None,
        "sources": {
            source: {**mine, "share": mine["tokens"] / totals["tokens"] if totals["tokens"] else None}
            for source, mine in sorted(by_source.items())
        },
        "held_out": held_out,
        "document_lengths": {str(2**power): int(n) for power, n in enumerate(lengths) if n},
    }


def _length_histogram(shard: Shard) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Documents by the power of two of their tokens in this shard, int64[64]."""
    table = shard.piece_table().select(["document", "epoch", "length"])
    summed = table.group_by(["document", "epoch"], use_threads=False).aggregate([("length", "sum")])
    powers = np.floor(np.log2(np.maximum(summed.column("length_sum").to_numpy(), 1))).astype(np.int64)
    return np.bincount(powers, minlength=64).astype(np.int64)
