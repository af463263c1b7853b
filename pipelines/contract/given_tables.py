"""Columns of the tables that steps leave to others under the words of `given`.

Who writes such a table has them of these types, beside others of its own; who reads it knows these alone.
"""

from __future__ import annotations

import pyarrow as pa

# Of `ENCODED`: a document as tokens (a list of uint16 or uint32), `bytes` of its text, and whether it is
# framed for fill-in-the-middle; perhaps other views of it (`encoded_views`).
ENCODED_COLUMNS = ("id", "source", "lang", "bytes", "fim", "tokens")

# Of `DRAWN`: the row of the encoded document in its unit, which copy of it this is (from 0), the token that
# this part of the copy ends before, -1 where that is the copy's end, the one that it begins at, whether a
# later phase goes on behind it, and the number of the mixture's phase; beside them the encoded document's
# columns in the view of this copy.
DRAWN_ROWS = pa.schema(
    [
        pa.field("row", pa.uint32()),
        pa.field("epoch", pa.int32()),
        pa.field("cut_to", pa.int64()),
        pa.field("cut_from", pa.int64()),
        pa.field("goes_on", pa.bool_()),
        pa.field("phase", pa.int16()),
    ]
)

# Of `SHARDS`: rows of `tokens`, and the `pieces` that each is made of. A piece is `length` tokens from
# `start` of the row, and from `offset` of a copy of a document, whose id are 16 bytes; `source` is a number
# among the names in the shard's metadata.
SHARD_COLUMNS = ("tokens", "pieces")
PIECE = pa.struct(
    [
        pa.field("start", pa.int32(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("source", pa.uint16(), nullable=False),
        pa.field("fim", pa.bool_(), nullable=False),
        pa.field("document", pa.binary(16), nullable=False),
        pa.field("offset", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
    ]
)
