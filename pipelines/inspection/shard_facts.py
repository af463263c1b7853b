"""What one token shard holds: metadata, counts, and its first rows as text again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.given import TOKENIZER
from corpusmill.pipelines.contract.given_tables import SHARD_COLUMNS
from corpusmill.pipelines.inspection.found import FoundShard, ShownPiece, ShownRow
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.shard_files import metadata, statistics
from corpusmill.pipelines.inspection.window_facts import shard_windows
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.opaque import Row, Summary
from corpusmill.pipelines.records.shard_counts import PartitionCounts
from corpusmill.pipelines.storage.graph_file import step_giving
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.sealed import sha256_file

_TEXT = 400  # characters of a row shown as text
_FIRST = 16  # token ids of a row shown


def shard_facts(path: Path, limit: int, version: str | None) -> FoundShard:
    """Metadata, counts and the first `limit` rows of a shard, decoded where its tokenizer is at hand."""
    about = metadata(path)
    tokenizer, said = shard_tokenizer(path, about)
    sources: Sequence[str] = about.get("sources", [])
    rows: list[ShownRow] = []
    for batch in arrow_batches(path, SHARD_COLUMNS):
        for at in range(min(batch.num_rows, limit - len(rows))):
            ids = batch.column("tokens")[at].as_py()
            pieces = [_piece(piece, ids, sources, tokenizer) for piece in batch.column("pieces")[at].as_py()]
            padding = len(ids) - sum(piece.length for piece in pieces)
            rows.append(ShownRow(len(rows), tuple(ids[:_FIRST]), padding, tuple(pieces)))
        if len(rows) >= limit:
            break
    counts: Summary = about.get("counts", {})
    return FoundShard(
        path=str(path),
        bytes=path.stat().st_size,
        metadata={key: value for key, value in about.items() if key != "counts"},
        counts=counts,
        statistics=statistics([decode(PartitionCounts, dict(counts), str(path))]),
        windows=shard_windows(path, about),
        decoded=said,
        first_rows=tuple(rows),
        version=version,
    )


def _piece(piece: Row, ids: Sequence[int], sources: Sequence[str], tokenizer: Any) -> ShownPiece:
    start, length, source = piece["start"], piece["length"], piece["source"]
    text = None
    if tokenizer is not None:
        span = ids[start : start + length]
        text = tokenizer.decode(span[:_TEXT], skip_special_tokens=False)[:_TEXT]
    return ShownPiece(
        start=start,
        length=length,
        offset=piece["offset"],
        fim=piece["fim"],
        epoch=piece["epoch"],
        document=piece["document"].hex(),
        source=sources[source] if source < len(sources) else None,
        text=text,
    )


def shard_tokenizer(path: Path, about: Summary) -> tuple[Any, str]:
    """The tokenizer the shard was made with, and which it is; or None, and why."""
    parents = path.resolve().parents
    if len(parents) < 5 or parents[3].name != "steps":
        return None, "not decoded: the shard lies outside a run folder, so its tokenizer is not at hand"
    step = step_giving(RunFolder(parents[4]), TOKENIZER)
    if step is None or step.manifest() is None or "tokenizer.json" not in step.files():
        return None, "not decoded: the run has no complete tokenizer step"
    file = step.file("tokenizer.json")
    if sha256_file(file) != about.get("tokenizer"):
        return None, f"not decoded: {file} is not the tokenizer the shard was made with"
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file)), str(file)
