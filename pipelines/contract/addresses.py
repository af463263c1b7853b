"""Addresses and the schemas of rows that travel by address.

Inside a run every document of a dataset has an address `(unit, row)`: the number of the unit that wrote
it and its row in that unit's output. Lists of documents to remove, and of spans to cut from documents, travel
by address, so applying them is a positional mask, never a join on strings.
"""

from __future__ import annotations

import pyarrow as pa

# In the metadata of a field of side rows, a large_list of uint32: each list is strictly ascending. It is
# stored in fewer bytes then (`run/operators/packed_lists.py`), as large_binary, and so are rows that a round
# has given these values unseen (`stage.WithSides.packed`).
ASCENDING = b"ascending"

# One row per removed document (or, before `resolve`, per pair found). `survivor_*` names the document it
# was judged a duplicate of; `reason` is counted in the ledger; `similarity` is the measured Jaccard or 1.0.
DUPLICATES = pa.schema(
    [
        pa.field("unit", pa.uint32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("survivor_unit", pa.uint32(), nullable=False),
        pa.field("survivor_row", pa.uint32(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
        pa.field("survivor_source", pa.string(), nullable=False),
        pa.field("survivor_bytes", pa.int64(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)

# One row per span to cut: bytes `start` to `end` (excluded) of the text, in UTF-8, as the exchange was shown
# it. `reason` is counted in the ledger. `survivor_*` names the document that keeps the text, where one does;
# a table that an exchange gives may leave these columns out.
EDITS = pa.schema(
    [
        pa.field("unit", pa.uint32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("start", pa.uint64(), nullable=False),
        pa.field("end", pa.uint64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("survivor_unit", pa.uint32()),
        pa.field("survivor_row", pa.uint32()),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_source", pa.string()),
    ]
)
