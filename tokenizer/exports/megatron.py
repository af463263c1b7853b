"""Export shards to Megatron-LM's indexed dataset: `tokens.bin` and `tokens.idx` for each set of shards.

The .bin holds token ids one after the other; the .idx (little-endian) the magic "MMIDIDX\\0\\0", version 1
(u64), a type code (8 is uint16, 4 is int32), the numbers of sequences and of document marks (u64 each), the
length (i32) and byte position (i64) of each sequence, and where each document begins among the sequences
(i64, one more at the end). Source: `indexed_dataset.py` of megatron-core 0.16.

Documents are documents: Megatron shuffles them, and cuts samples of its own. With `--sequences rows` each
row, without its padding, is one; rows keep their packing only if Megatron is run with their length. What is
lost: ids, sources and flags of the documents. Megatron's files have no checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export

_MAGIC = b"MMIDIDX\x00\x00"
_HEAD_BYTES = len(_MAGIC) + struct.calcsize("<QBQQ")
_CODES = {2: 8, 4: 4}  # bytes a token -> type code
_NAME = "tokens"


def write_megatron(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write both files. Memory: 20 bytes a sequence.

    Raises UserError for a vocabulary over 2**31, which Megatron's int32 cannot hold.
    """
    if one.metadata["vocab_size"] > 2**31:
        raise UserError(f"{one.paths[0]}: ids over 2**31 do not fit Megatron's int32")
    tokens, index = folder / f"{_NAME}.bin", folder / f"{_NAME}.idx"
    kind: np.dtype[Any] = np.dtype("<u2")
    lengths = [np.zeros(0, np.int64)]
    with tokens.open("wb") as file:
        for sequences in shards:
            kind = np.dtype("<u2" if sequences.shard.dtype == np.uint16 else "<i4")
            for each in sequences:
                file.write(each.astype(kind).tobytes())
            lengths.append(sequences.lengths())
    length_n = np.concatenate(lengths)
    count = len(length_n)
    ends = np.cumsum(length_n) * kind.itemsize
    with index.open("wb") as file:
        file.write(_MAGIC + struct.pack("<QBQQ", 1, _CODES[kind.itemsize], count, count + 1))
        file.write(length_n.astype("<i4").tobytes())
        file.write((np.concatenate([[0], ends[:-1]]) if count else ends).astype("<i8").tobytes())
        file.write(np.arange(count + 1, dtype="<i8").tobytes())
    return tokens, index


def read_megatron(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The ids of the .bin where the .idx says that sequences lie."""
    head = (folder / f"{_NAME}.idx").read_bytes()
    _, code, count, _ = struct.unpack_from("<QBQQ", head, len(_MAGIC))
    kind: np.dtype[Any] = np.dtype("<u2" if code == _CODES[2] else "<i4")
    length_n = np.frombuffer(head, "<i4", count, _HEAD_BYTES)
    pointer_n = np.frombuffer(head, "<i8", count, _HEAD_BYTES + 4 * count)
    with (folder / f"{_NAME}.bin").open("rb") as file:
        for length, at in zip(length_n.tolist(), pointer_n.tolist(), strict=True):
            file.seek(at)
            yield np.frombuffer(file.read(length * kind.itemsize), kind)


EXPORT = shard_export(ShardFormat(write_megatron, read_megatron, ("documents", "rows")))
