"""The tokens of shards one after the other with what stands before each, block by block of rows.

R rows of a block, L row length, N real tokens of a block (padding left out), in the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.tokenizer.shards.reader import Shard

I64 = npt.NDArray[np.int64]

ROWS = 1024  # of a block: bounds the copies


@dataclass(frozen=True)
class Block:
    """N real tokens: `token` and the one `before` it in its row int64[N], the `source` (code of the shard's
    own list) int64[N], and whether it is of the `first_copy` of its document, bool[N]."""

    token: I64
    before: I64
    source: I64
    first_copy: npt.NDArray[np.bool_]


def start_token(metadata: Mapping[str, Any]) -> int:
    """What a row's first token is taken to stand after: the end of a document, as it mostly does.

    Without such a token in the vocabulary the beginning of a document, else padding.
    """
    for role in ("eos_id", "bos_id", "pad_id"):
        if metadata.get(role) is not None:
            return int(metadata[role])
    raise ValueError("the vocabulary has neither eos, bos nor padding")


def real_tokens(shard: Shard) -> Iterator[Block]:
    """Every real token of a shard. Memory: one block and the shard's pieces."""
    start = start_token(shard.metadata)
    table = shard.piece_table()
    row, length, source, epoch = (
        table.column(name).to_numpy() for name in ("row", "length", "source", "epoch")
    )
    filled_R = np.bincount(row, weights=length, minlength=shard.rows).astype(np.int64)
    for first in range(0, shard.rows, ROWS):
        last = min(first + ROWS, shard.rows)
        block_RL = shard.batch(np.arange(first, last)).astype(np.int64)
        real_RL = np.arange(shard.sequence_length) < filled_R[first:last, None]
        before_RL = np.concatenate([np.full((last - first, 1), start), block_RL[:, :-1]], axis=1)
        low, high = np.searchsorted(row, [first, last])
        each = length[low:high]
        yield Block(
            block_RL[real_RL],
            before_RL[real_RL],
            np.repeat(source[low:high].astype(np.int64), each),
            np.repeat(epoch[low:high] == 0, each),
        )
