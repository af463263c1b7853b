"""Export a shard to datatrove's token files: `<name>.ds`, `<name>.ds.index` and `<name>.ds.metadata`.

The .ds holds token ids one after the other (2 or 4 bytes, little-endian), the .index where each document
ends (u64, in tokens), the .metadata the tokenizer with the bytes a token, the number of tokens, and that
number for people. Source: `pipeline/tokens/tokenizer.py` of datatrove 0.10.

Rows follow one another without padding; each piece counts as a document. What is lost: rows (datatrove
cuts the file every sequence length + 1 tokens), sources and flags. The shard is verified as it is read;
datatrove's files have no checksums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpusmill.tokenizer.export.shards import shard_export
from corpusmill.tokenizer.shards.reader import Shard


def export_datatrove(shard: Shard, prefix: Path) -> list[Path]:
    """Write `prefix`.ds and the two files beside it; returns the three paths. Memory: one row."""
    path = prefix.with_name(f"{prefix.name}.ds")
    dtype = shard.dtype.newbyteorder("<")
    with path.open("wb") as file:
        for row, length in enumerate(shard.row_lengths().tolist()):
            file.write(shard.tokens(row)[:length].astype(dtype).tobytes())
    index, metadata = path.with_name(path.name + ".index"), path.with_name(path.name + ".metadata")
    ends = np.cumsum(shard.piece_table().column("length").to_numpy())
    index.write_bytes(ends.astype("<u8").tobytes())
    count = shard.metadata["counts"]["tokens"]
    tokenizer = f"{shard.metadata['tokenizer']}|{dtype.itemsize}"
    metadata.write_text(f"{tokenizer}\n{count}\n{_for_people(count)}", encoding="utf-8")
    return [path, index, metadata]


def _for_people(count: int) -> str:
    """`count` in the largest fitting unit, as datatrove writes it: 1.23 K, 4.00 M."""
    value = float(count)
    for unit in ("", "K", "M", "B"):
        if value < 1000:
            return f"{value:.2f} {unit}".rstrip()
        value /= 1000
    return f"{value:.2f} T"


EXPORT = shard_export(export_datatrove, lambda files, shard: files[0].read_bytes())
