"""Whether the token that ends documents stands where documents end, and nowhere else.

A recipe may encode documents without one (`encode.add_eos`); then none should end in it. A document of which
the mixture took the beginning only (the metadata's `cut`) does not end where its tokens do, so its last token
is not looked at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
    whole_P = ~_of_cut_documents(shard, pieces)
    final_P = last_P[((after < lengths_R[row]) | (after < shard.sequence_length)) & whole_P]
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


def _of_cut_documents(shard: Shard, pieces: pa.Table) -> npt.NDArray[np.bool_]:
    """Which pieces are of a copy that the mixture cut, bool[P]."""
    cut = {(bytes.fromhex(one["document"]), one["epoch"]) for one in shard.metadata.get("cut", [])}
    names, epoch = pieces.column("document"), pieces.column("epoch")
    wanted = pa.array(sorted({name for name, _ in cut}), names.type)
    found_P: npt.NDArray[np.bool_] = np.array(pc.is_in(names, value_set=wanted), np.bool_)
    for at in np.flatnonzero(found_P).tolist():
        found_P[at] = (names[at].as_py(), epoch[at].as_py()) in cut
    return found_P
