"""Export a shard to Megatron-LM's indexed dataset: `<prefix>.bin` and `<prefix>.idx`.

The .bin holds token ids one after the other; the .idx (little-endian) the magic "MMIDIDX\\0\\0", version 1
(u64), a type code (8 is uint16, 4 is int32), the numbers of sequences and of document marks (u64 each), the
length (i32) and byte position (i64) of each sequence, and where each document begins among the sequences
(i64, one more at the end). Source: `indexed_dataset.py` of Megatron-LM.

Each row becomes one sequence and one document, without its padding. What is lost: pieces, sources and
flags. Rows keep their packing only if Megatron is run with this sequence length and without its own
shuffling of documents into samples. The shard is verified as it is read; Megatron's files have no checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.shards import shard_export
from corpusmill.tokenizer.shards.reader import Shard

_MAGIC = b"MMIDIDX\x00\x00"
_HEAD_BYTES = len(_MAGIC) + struct.calcsize("<QBQQ")
_CODES = {2: 8, 4: 4}  # bytes a token -> type code


def export_megatron(shard: Shard, prefix: Path) -> tuple[Path, Path]:
    """Write `prefix`.bin and `prefix`.idx; returns their paths. Memory: one row and 20 bytes a row.

    Raises UserError for a vocabulary over 2**31, which Megatron's int32 cannot hold.
    """
    if shard.metadata["vocab_size"] > 2**31:
        raise UserError(f"{shard.path}: ids over 2**31 do not fit Megatron's int32")
    dtype = np.dtype("<u2" if shard.dtype == np.uint16 else "<i4")
    code = _CODES[dtype.itemsize]
    tokens, index = prefix.with_name(prefix.name + ".bin"), prefix.with_name(prefix.name + ".idx")
    lengths = shard.row_lengths()
    with tokens.open("wb") as file:
        for row, length in enumerate(lengths.tolist()):
            file.write(shard.tokens(row)[:length].astype(dtype).tobytes())
    ends = np.cumsum(lengths) * dtype.itemsize
    pointers = np.concatenate([[0], ends[:-1]]) if len(lengths) else np.zeros(0)
    with index.open("wb") as file:
        file.write(_MAGIC + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1))
        file.write(lengths.astype("<i4").tobytes())
        file.write(pointers.astype("<i8").tobytes())
        file.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
    return tokens, index


def _tokens(files: Sequence[Path], shard: Shard) -> bytes:
    """The ids of the .bin where the .idx says that sequences lie."""
    tokens, index = files
    head = index.read_bytes()
    _, code, rows, _ = struct.unpack_from("<QBQQ", head, len(_MAGIC))
    dtype: np.dtype[Any] = np.dtype("<u2" if code == _CODES[2] else "<i4")
    lengths = np.frombuffer(head, "<i4", rows, _HEAD_BYTES)
    pointers = np.frombuffer(head, "<i8", rows, _HEAD_BYTES + 4 * rows)
    data = tokens.read_bytes()
    return b"".join(
        np.frombuffer(data, dtype, int(length), int(at)).astype(shard.dtype).tobytes()
        for length, at in zip(lengths, pointers, strict=True)
    )


EXPORT = shard_export(export_megatron, _tokens)
