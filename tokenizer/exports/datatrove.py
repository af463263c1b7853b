"""Export shards to datatrove's token files: `<shard>.ds`, `<shard>.ds.index` and `<shard>.ds.metadata`.

The .ds holds token ids one after the other (2 or 4 bytes, little-endian), the .index where each document
ends (u64, in tokens), the .metadata the tokenizer with the bytes a token, the number of tokens, and that
number for people. Source: `pipeline/tokens/tokenizer.py` of datatrove 0.10. `DatatroveFolderDataset` reads a
folder, those within it too: give it `OUT/train`, not `OUT`.

Documents follow one another; datatrove cuts the file every sequence length + 1 tokens. What is lost: rows,
ids, sources and flags. datatrove's files have no checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export


def write_datatrove(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write three files a shard. Memory: 8 bytes a document of a shard."""
    made: list[Path] = []
    for sequences in shards:
        shard = sequences.shard
        path = folder / f"{shard.path.stem}.ds"
        index, metadata = path.with_name(path.name + ".index"), path.with_name(path.name + ".metadata")
        kind = shard.dtype.newbyteorder("<")
        with path.open("wb") as file:
            for each in sequences:
                file.write(each.astype(kind).tobytes())
        lengths = sequences.lengths()
        index.write_bytes(np.cumsum(lengths).astype("<u8").tobytes())
        count = int(lengths.sum())
        tokenizer = f"{shard.metadata['tokenizer']}|{kind.itemsize}"
        metadata.write_text(f"{tokenizer}\n{count}\n{_for_people(count)}", encoding="utf-8")
        made += [path, index, metadata]
    return made


def read_datatrove(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The ids of each .ds between the ends that its .index has."""
    for shard in one.paths:
        path = folder / f"{shard.stem}.ds"
        size = int(
            path.with_name(path.name + ".metadata").read_text("utf-8").splitlines()[0].rpartition("|")[2]
        )
        ends = np.frombuffer(path.with_name(path.name + ".index").read_bytes(), "<u8").tolist()
        with path.open("rb") as file:
            for first, last in zip([0, *ends[:-1]], ends, strict=False):
                yield np.frombuffer(file.read((last - first) * size), "<u2" if size == 2 else "<u4")
            rest = file.read()
        if rest:
            yield np.frombuffer(rest, np.uint8)


def _for_people(count: int) -> str:
    """`count` in the largest fitting unit, as datatrove writes it: 1.23 K, 4.00 M."""
    value = float(count)
    for unit in ("", "K", "M", "B"):
        if value < 1000:
            return f"{value:.2f} {unit}".rstrip()
        value /= 1000
    return f"{value:.2f} T"


EXPORT = shard_export(ShardFormat(write_datatrove, read_datatrove, ("documents",)))
