"""What `pack` counts of its shards: in their metadata, and in the receipts of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShardCounts:
    """Counts of one shard, copies included. Shards of earlier versions lack those with a default.

    `empty_documents` have no tokens; `combined_tokens` are of punctuation and line breaks, `split_tokens`
    those that were split; `bytes_by_source` are UTF-8 bytes of the documents' texts.
    `divided_documents` lie in more than one row, `divided_short_documents` of these are no longer than a row,
    and `tokens_behind_others` have another document before them in their row; None where not counted.
    """

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
    fim_documents_by_source: Mapping[str, int] = field(default_factory=dict)
    divided_documents: int | None = None
    divided_short_documents: int | None = None
    tokens_behind_others: int | None = None


@dataclass(frozen=True)
class PartitionCounts(ShardCounts):
    """Counts of a partition's shard, and of the one that is held out, where there is one."""

    held_out: ShardCounts | None = None
