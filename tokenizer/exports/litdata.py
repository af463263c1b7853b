"""Export shards to litdata's chunks for its `TokensLoader`: `chunk-0-<n>.bin` and `index.json` for each set.

A chunk holds the number of its items (u32), where each begins and the last one ends (u32, bytes of the file),
and the items: here rows of ids, padding included, as torch tensors without a header (`no_header_tensor:20` is
uint16, `:16` int32). Source: `streaming/writer.py` and `streaming/item_loader.py` of litdata 0.2.76, which is
not needed to write them.

`StreamingDataset("OUT/train", item_loader=TokensLoader(block_size=L))` gives row after row, L being the rows'
length: another length cuts rows, and drops the end of each chunk. What is lost: pieces, sources, flags and
checksums.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export

CHUNK_BYTES = 2**26  # about; litdata's own default
_FORMATS = {2: "no_header_tensor:20", 4: "no_header_tensor:16"}  # bytes a token -> serialiser and dtype
_LEAF = '[1, {"type": null, "context": null, "children_spec": []}]'  # a sample is one tensor (torch's pytree)


def write_litdata(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write chunks of about `CHUNK_BYTES`, each of rows of one shard. Memory: a chunk.

    Raises UserError for a vocabulary over 2**31, which int32 cannot hold.
    """
    if one.metadata["vocab_size"] > 2**31:
        raise UserError(f"{one.paths[0]}: ids over 2**31 do not fit litdata's int32")
    made: list[Path] = []
    chunks: list[dict[str, Any]] = []
    length = int(one.metadata["sequence_length"])
    size = 2
    for sequences in shards:
        size = sequences.shard.dtype.itemsize
        per_chunk = max(1, CHUNK_BYTES // (length * size))
        for first in range(0, len(sequences), per_chunk):
            count = min(per_chunk, len(sequences) - first)
            rows_RL = sequences.shard.batch(np.arange(first, first + count))
            head = 4 * (count + 2)
            offsets = head + np.arange(count + 1, dtype=np.int64) * length * size
            path = folder / f"chunk-0-{len(chunks)}.bin"
            with path.open("wb") as file:
                file.write(np.array([count], "<u4").tobytes() + offsets.astype("<u4").tobytes())
                file.write(rows_RL.astype(f"<u{size}").tobytes())
            chunks.append(
                {
                    "chunk_bytes": int(offsets[-1]),
                    "chunk_size": count,
                    "dim": count * length,
                    "filename": path.name,
                }
            )
            made.append(path)
    config = {
        "chunk_bytes": CHUNK_BYTES,
        "chunk_size": None,
        "compression": None,
        "data_format": [_FORMATS[size]],
        "data_spec": _LEAF,
        "encryption": None,
        "item_loader": "TokensLoader",
    }
    index = folder / "index.json"
    index.write_text(json.dumps({"chunks": chunks, "config": config}, sort_keys=True), encoding="utf-8")
    return [*made, index]


def read_litdata(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The items of each chunk that the index names."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    kind = "<u2" if index["config"]["data_format"] == [_FORMATS[2]] else "<u4"
    for chunk in index["chunks"]:
        data = (folder / chunk["filename"]).read_bytes()
        count = int(np.frombuffer(data, "<u4", 1)[0])
        offsets = np.frombuffer(data, "<u4", count + 1, 4).tolist()
        for first, last in pairwise(offsets):
            yield np.frombuffer(data[first:last], kind)


EXPORT = shard_export(ShardFormat(write_litdata, read_litdata, ("rows",), padded=True, one_length=True))
