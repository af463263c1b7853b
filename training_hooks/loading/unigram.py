"""Counts of token ids over shards, and the entropy of that distribution: the bar a model must beat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.reader import Shard

_ROWS = 1024  # rows counted at a time: bounds the copies that counting makes


def token_counts(shards: Iterable[Shard]) -> npt.NDArray[np.int64]:
    """How often each id occurs, padding left out, int64[vocab_size].

    Reads every token once. Raises IntegrityError naming the shard that holds an id outside the
    vocabulary, and ValueError without shards.
    """
    counts: npt.NDArray[np.int64] | None = None
    for shard in shards:
        if counts is None:
            counts = np.zeros(int(shard.metadata["vocab_size"]), np.int64)
        for start in range(0, shard.rows, _ROWS):
            block = shard.batch(np.arange(start, min(start + _ROWS, shard.rows)))
            found = np.bincount(block.reshape(-1), minlength=len(counts))
            if len(found) > len(counts):
                raise IntegrityError(
                    f"{shard.path} holds token id {len(found) - 1}, but its vocabulary has "
                    f"{len(counts)}: encode the documents again with the recipe's tokenizer"
                )
            counts += found
        counts[int(shard.metadata["pad_id"])] = 0
    if counts is None:
        raise ValueError("no shards to count")
    return counts


def entropy(counts: npt.NDArray[np.int64]) -> float | None:
    """Entropy in nats of the distribution in proportion to `counts`; None where nothing was counted."""
    seen = counts[counts > 0].astype(np.float64)
    if not seen.size:
        return None
    share = seen / seen.sum()
    return float(-(share * np.log(share)).sum())
