"""Export shards to MosaicML's MDS: `shard.00000.mds` ... and `index.json` for each set.

A shard of MDS holds the number of its samples (u32), where each begins and the last one ends (u32, bytes of
the file), the JSON of its columns, and the samples. The one column, `tokens`, is an array of ids: of a row
`ndarray:uint16:L`, padding included; of a document (`--sequences documents`) `ndarray:uint16`, whose sample
begins with its size (u32), its number of axes and type of shape (u8), and its length. Ids of larger
vocabularies are uint32. Source: `base/format/mds` of mosaicml-streaming 0.13, which is not needed to write.

`StreamingDataset(local="OUT/train", batch_size=...)[i]["tokens"]` gives sequence i; with
`validate_hash="xxh64"` it compares the shards with the checksums of the index. What is lost: pieces, sources
and flags.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export

SIZE_LIMIT = 2**26  # bytes of a shard, as streaming's writer has it
_COLUMN = "tokens"
_SHAPES = ((2**8, "<u1"), (2**16, "<u2"), (2**32, "<u4"))  # lengths below -> type of the shape


def write_mds(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write the shards and their index. Memory: a shard of MDS, twice `SIZE_LIMIT` or one sample."""
    writer: _Writer | None = None
    for sequences in shards:
        if writer is None:
            shape = (sequences.shard.sequence_length,) if sequences.padded else None
            writer = _Writer(folder, sequences.shard.dtype, shape)
        for each in sequences:
            writer.add(each)
    return [] if writer is None else writer.close()


class _Writer:
    """Samples of one column, shard after shard."""

    def __init__(self, folder: Path, kind: np.dtype[Any], shape: tuple[int] | None) -> None:
        self._folder, self._kind, self._shape = folder, kind, shape
        self._samples: list[bytes] = []
        self._bytes = 0
        self._shards: list[dict[str, Any]] = []
        self._made: list[Path] = []
        encoding = f"ndarray:{kind.name}" + (f":{shape[0]}" if shape else "")
        self._facts = {
            "column_encodings": [encoding],
            "column_names": [_COLUMN],
            "column_sizes": [shape[0] * kind.itemsize if shape else None],
            "compression": None,
            "format": "mds",
            "hashes": ["xxh64"],
            "size_limit": SIZE_LIMIT,
            "version": 2,
        }
        self._head = json.dumps(self._facts, sort_keys=True).encode()

    def add(self, tokens: Tokens) -> None:
        data = tokens.astype(self._kind.newbyteorder("<")).tobytes()
        if self._shape is None:
            kind = next(kind for below, kind in _SHAPES if len(tokens) < below)
            code = [name for _, name in _SHAPES].index(kind)
            data = bytes([1 << 2 | code]) + np.array([len(tokens)], kind).tobytes() + data
            data = np.array([len(data)], "<u4").tobytes() + data
        size = len(data) + 4
        if self._samples and self._bytes + size > SIZE_LIMIT:
            self._finish()
        self._samples.append(data)
        self._bytes += size
        if self._bytes >= 2**32:
            raise UserError(
                f"a document of {len(tokens):,} tokens does not fit a shard of MDS, of 4 GiB at most"
            )

    def _finish(self) -> None:
        count = len(self._samples)
        head = 4 * (count + 2) + len(self._head)
        offsets = head + np.concatenate([[0], np.cumsum([len(one) for one in self._samples])])
        data = b"".join(
            [
                np.array([count], "<u4").tobytes(),
                offsets.astype("<u4").tobytes(),
                self._head,
                *self._samples,
            ]
        )
        path = self._folder / f"shard.{len(self._shards):05d}.mds"
        path.write_bytes(data)
        raw = {
            "basename": path.name,
            "bytes": len(data),
            "hashes": {"xxh64": xxhash.xxh64_hexdigest(data)},
        }
        self._shards.append({**self._facts, "raw_data": raw, "samples": count, "zip_data": None})
        self._made.append(path)
        self._samples, self._bytes = [], 0

    def close(self) -> list[Path]:
        if self._samples or not self._shards:
            self._finish()
        index = self._folder / "index.json"
        text = json.dumps({"shards": self._shards, "version": 2}, sort_keys=True)
        index.write_text(text, encoding="utf-8")
        return [*self._made, index]


def read_mds(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The samples of each shard that the index names."""
    for shard in json.loads((folder / "index.json").read_text("utf-8"))["shards"]:
        kind = np.dtype(shard["column_encodings"][0].split(":")[1]).newbyteorder("<")
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        offsets = np.frombuffer(data, "<u4", shard["samples"] + 1, 4).tolist()
        for first, last in pairwise(offsets):
            if shard["column_sizes"] == [None]:
                first += 5 + np.dtype(_SHAPES[data[first + 4] & 3][1]).itemsize
            yield np.frombuffer(data[first:last], kind)


EXPORT = shard_export(ShardFormat(write_mds, read_mds, ("rows", "documents"), padded=True, one_length=True))
