"""What `pack` counts of its shards: in their metadata, and in the receipts of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShardCounts:
    """Counts of one shard, copies included. Shards of earlier versions lack the last five."""

    rows: int
    tokens: int
    padding: int
    documents: int
    fim_documents: int
    pieces: int
    tokens_by_source: Mapping[str, int] = field(default_factory=dict)
    documents_by_source: Mapping[str, int] = field(default_factory=dict)
    empty_documents: int = 0
    combined_tokens: int = 0
    split_tokens: int = 0
    bytes_by_source: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionCounts(ShardCounts):
    """Counts of a partition's shard, and of the one that is held out, where there is one."""

    held_out: ShardCounts | None = None
