"""Export shards to NumPy: `<shard>.npy`, the matrix of its rows [R, L], uint16 or uint32, padding included.

`numpy.load(path, mmap_mode="r")[row]` is a training sequence. What is lost: pieces, sources, flags and
checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export


def write_npy(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write a file a shard, row by row."""
    made: list[Path] = []
    for sequences in shards:
        shard = sequences.shard
        path = folder / f"{shard.path.stem}.npy"
        kind = shard.dtype.newbyteorder("<")
        shape = (shard.rows, shard.sequence_length)
        head = {"descr": kind.str, "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, head)
            for row in sequences:
                file.write(row.astype(kind).tobytes())
        made.append(path)
    return made


def read_npy(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The rows of each file."""
    for shard in one.paths:
        path = folder / f"{shard.stem}.npy"
        yield from np.load(path, allow_pickle=False)


EXPORT = shard_export(ShardFormat(write_npy, read_npy, ("rows",), padded=True))
