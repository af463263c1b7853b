"""What a set of shards holds: token totals, shares, fill-in-the-middle, padding, pieces, document lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN
from corpusmill.tokenizer.shards.reader import Shard, open_shard

Ints = npt.NDArray[np.int64]


def mixture_statistics(shards: Sequence[Path]) -> dict[str, Any]:
    """Statistics of the shards that are trained on together, JSON-ready, and of the others `held_out`.

    Shares are of tokens without padding; `padding_share` is of all places; `fim_rate` is of documents;
    `split_rate` is of tokens that combine punctuation and line breaks (`combined_tokens`; both null where
    the shards do not count them). A share of nothing is null. A copy that phases of the mixture divide counts
    once, with the tokens that all these shards have of it. `document_lengths` counts documents (copies each)
    by length in tokens: a key "n" holds lengths n..2n-1 (n a power of two). `held_out` counts shards, rows,
    tokens, padding and documents. Raises IntegrityError for a damaged shard.
    """
    totals = dict.fromkeys(("rows", "tokens", "padding", "documents", "fim_documents", "pieces"), 0)
    combined: list[tuple[int, int]] = []
    by_source: dict[str, dict[str, int]] = {}
    lengths = np.zeros(64, np.int64)
    parts: list[_Part] = []
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
        parts += _parts(shard)
    for before, part in _followers(parts):
        totals["documents"] -= 1
        totals["fim_documents"] -= part.framed
        by_source[part.source]["documents"] -= 1
        lengths += _bin(before + part.tokens) - _bin(before) - _bin(part.tokens)
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


class _Part(NamedTuple):
    """What a shard has of a copy that the mixture cuts: `tokens` from `start`."""

    document: str
    epoch: int
    source: str
    start: int
    tokens: int
    framed: bool


def _parts(shard: Shard) -> list[_Part]:
    cuts = shard.metadata.get("cut", ())
    framed: set[tuple[str, int]] = set()
    if any("from" in one for one in cuts):
        table = shard.piece_table().select(["document", "epoch", "fim"])
        table = table.filter(table.column("fim")).select(["document", "epoch"])
        framed = {(row["document"].hex(), row["epoch"]) for row in table.to_pylist()}
    return [
        _Part(
            one["document"],
            one["epoch"],
            one["source"],
            one.get("from", 0),
            one["tokens"],
            (one["document"], one["epoch"]) in framed,
        )
        for one in cuts
    ]


def _followers(parts: Sequence[_Part]) -> Iterator[tuple[int, _Part]]:
    """The parts that go on where another ends, each with the tokens of those before it."""
    begun: dict[tuple[str, int, str, int], int] = {}
    for part in sorted(parts, key=lambda part: part.start):
        copy = part.document, part.epoch, part.source
        before = begun.get((*copy, part.start), 0) if part.start else 0
        begun[(*copy, part.start + part.tokens)] = before + part.tokens
        if before:
            yield before, part


def _bin(tokens: int) -> Ints:
    """One document of so many tokens, as in the histogram."""
    return np.bincount([max(tokens, 1).bit_length() - 1], minlength=64).astype(np.int64)


def _length_histogram(shard: Shard) -> Ints:
    """Documents by the power of two of their tokens in this shard, int64[64]."""
    table = shard.piece_table().select(["document", "epoch", "length"])
    summed = table.group_by(["document", "epoch"], use_threads=False).aggregate([("length", "sum")])
    powers = np.floor(np.log2(np.maximum(summed.column("length_sum").to_numpy(), 1))).astype(np.int64)
    return np.bincount(powers, minlength=64).astype(np.int64)
