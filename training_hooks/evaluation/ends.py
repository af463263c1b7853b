"""Whether the token that ends documents stands where documents end, and nowhere else.

A recipe may encode documents without one (`encode.add_eos`); then none should end in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.tokenizer.shards.reader import Shard

I64 = npt.NDArray[np.int64]

LEAST = 16  # documents that end before their row does; fewer tell nothing
FEW = 0.01  # of them may be odd


def misplaced_ends(shard: Shard, pieces: pa.Table, lengths_R: I64, counts_V: I64) -> str | None:
    """What is wrong with the ends of documents; null where nothing is, or the vocabulary has no such token.

    `pieces`: the shard's; `lengths_R`: real tokens of its rows; `counts_V`: of its ids. A piece that another
    follows in its row, or padding, is the last of its document: what a document is cut into before fills
    rows to their end.
    """
    end = shard.metadata["eos_id"]
    row, start, length = (pieces.column(name).to_numpy() for name in ("row", "start", "length"))
    after = start + length
    places = zip(row.tolist(), after.tolist(), strict=True)
    last_P = np.array([shard.tokens(r)[place - 1] for r, place in places], np.int64)
    final_P = last_P[(after < lengths_R[row]) | (after < shard.sequence_length)]
    if end is None or len(final_P) < LEAST:
        return None
    ended = int((final_P == end).sum())
    inside = int(counts_V[end]) - int((last_P == end).sum())
    if inside > FEW * len(final_P):
        return f"the token that ends documents, {end}, stands {inside:,} times inside of one"
    usual = int(np.bincount(final_P).argmax())
    if usual != end and (final_P == usual).mean() > 1 - FEW:
        return f"documents end in token {usual}, not in {end}"
    if FEW * len(final_P) < ended < (1 - FEW) * len(final_P):
        return f"{ended:,} of {len(final_P):,} documents end in token {end}; all or none should"
    return None
